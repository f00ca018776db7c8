// peersox.json: what clients and servers of PeerSox (chapter PSX) say. In texts
// and bodies $CODE and $HASH stand for a pairing that a server has just made.

import { hex, varint } from './bytes.mjs'

const otherHash = '0123456789abcdef'.repeat(4)
const json = (v) => JSON.stringify(v)
const wrong = (param, value) => ({ location: 'body', param, ...(value === undefined ? {} : { value }), msg: 'Invalid value' })
const errors = (...list) => ({ status: 422, json: { errors: list } })
const ok = (value) => ({ status: 200, json: value })

const JSON_TYPE = 'application/json'
const FORM = 'application/x-www-form-urlencoded'
const post = (path, type, body, answer) => ({ method: 'POST', path, type, body, ...answer })
const code = (body, answer, type = JSON_TYPE) => post('/api/code/validate', type, body, answer)
const pairing = (body, answer, type = JSON_TYPE) => post('/api/pairing/validate', type, body, answer)

const P = { code: '$CODE', hash: '$HASH' }
const tooShort = errors(wrong('code', '12345'))

const api = [
  ['code-once', 'PSX-5: the first use gives the hash, later ones nothing', code(json({ code: '$CODE' }), ok(P)), code(json({ code: '$CODE' }), ok({}))],
  ['code-in-a-form', 'PSX-4, PSX-5', code('code=$CODE', ok(P), FORM)],
  ['code-with-charset', 'PSX-4: a type with a parameter', code(json({ code: '$CODE' }), ok(P), JSON_TYPE + '; charset=utf-8')],
  ['code-among-others', 'PSX-5: other members', code(json({ x: [1], code: '$CODE' }), ok(P))],
  ['code-letters', 'PSX-5: six characters that are no code', code(json({ code: 'abcdef' }), ok({}))],
  ['code-number', 'PSX-5: a JSON number is none', code('{"code":123456}', ok({}))],
  ['code-missing', 'PSX-7', code('{}', errors(wrong('code')))],
  ['code-short', 'PSX-7', code(json({ code: '12345' }), tooShort)],
  ['code-short-in-a-form', 'PSX-7', code('code=12345', tooShort, FORM)],
  ['code-long', 'PSX-7', code(json({ code: '1234567' }), errors(wrong('code', '1234567')))],
  ['code-empty', 'PSX-7', code(json({ code: '' }), errors(wrong('code', '')))],
  ['code-broken-json', 'PSX-4', code('{"code":', { status: 400 })],
  ['pairing-new', 'PSX-6', pairing(json({ pairing: P }), ok(true))],
  ['pairing-after-the-code', 'PSX-6: the hash lives on', code(json({ code: '$CODE' }), ok(P)), pairing(json({ pairing: P }), ok(true))],
  ['pairing-twice', 'PSX-6', pairing(json({ pairing: P }), ok(true)), pairing(json({ pairing: P }), ok(true))],
  ['pairing-in-a-form', 'PSX-4, PSX-6', pairing('pairing[code]=$CODE&pairing[hash]=$HASH', ok(true), FORM)],
  ['pairing-in-an-encoded-form', 'PSX-4, PSX-6', pairing('pairing%5Bcode%5D=$CODE&pairing%5Bhash%5D=$HASH', ok(true), FORM)],
  ['pairing-wrong-hash', 'PSX-6', pairing(json({ pairing: { ...P, hash: otherHash } }), ok(false))],
  ['pairing-wrong-code', 'PSX-6', pairing(json({ pairing: { ...P, code: 'abcdef' } }), ok(false))],
  ['pairing-missing', 'PSX-7: one error for each field', pairing('{}', errors(wrong('pairing.code'), wrong('pairing.hash')))],
  ['pairing-without-hash', 'PSX-7', pairing(json({ pairing: { code: '$CODE' } }), errors(wrong('pairing.hash')))],
  ['pairing-without-code', 'PSX-7', pairing(json({ pairing: { hash: '$HASH' } }), errors(wrong('pairing.code')))],
  ['pairing-both-short', 'PSX-7', pairing(json({ pairing: { code: '1', hash: '2' } }), errors(wrong('pairing.code', '1'), wrong('pairing.hash', '2')))],
  ['pairing-hash-short', 'PSX-7', pairing(json({ pairing: { ...P, hash: otherHash.slice(1) } }), errors(wrong('pairing.hash', otherHash.slice(1))))],
  ['pairing-broken-json', 'PSX-4', pairing('{"pairing":{"code":"$CODE"', { status: 400 })]
].map(([name, note, ...steps]) => ({ name, note, steps }))

const register = (data) => `§${json({ name: 'client.register', data })}`
const registrations = [
  ['plain', register(P), true, 'PSX-21'],
  ['another-order', '§{"data":{"hash":"$HASH","code":"$CODE"},"name":"client.register"}', true, 'PSX-20: any order'],
  ['white-space', '§ { "name": "client.register",\n"data": { "code": "$CODE", "hash": "$HASH" } } ', true, 'PSX-20: white space'],
  ['more-in-it', register({ ...P, x: 1 }), true, 'PSX-21: unknown members'],
  ['wrong-hash', register({ ...P, hash: otherHash }), false, 'PSX-23'],
  ['wrong-code', register({ ...P, code: 'abcdef' }), false, 'PSX-23'],
  ['code-number', '§{"name":"client.register","data":{"code":123456,"hash":"$HASH"}}', false, 'PSX-23: no pairing'],
  ['empty', register({}), false, 'PSX-23: no pairing'],
  ['null', register(null), false, 'PSX-23: no pairing'],
  ['list', register([]), false, 'PSX-23: no pairing'],
  ['text', register('$CODE'), false, 'PSX-23: no pairing'],
  ['without-data', '§{"name":"client.register"}', false, 'PSX-23: no pairing']
].map(([name, text, accepted, note]) => ({ name, note, text, accepted }))

const internals = [
  ['connected-initiator', '§{"name":"peer.connected","data":{"isInitiator":true,"pairing":{"code":"$CODE","hash":"$HASH"}}}', 'PSX-25: to the one that waited'],
  ['connected-second', '§{"name":"peer.connected","data":{"isInitiator":false,"pairing":{"code":"$CODE","hash":"$HASH"}}}', 'PSX-25: to the one that came'],
  ['signal', '§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0\\r\\n"}}', 'PSX-66'],
  ['frames', '§{"name":"meshpair.frames","data":{"after":3}}', 'PSX-71'],
  ['closed', `§{"name":"meshpair.closed","data":{"label":"${otherHash.slice(0, 40)}"}}`, 'PSX-77: the label of a data channel, PSX-65'],
  ['closed-without-label', '§{"name":"meshpair.closed","data":{"label":""}}', 'PSX-77: making one was given up'],
  ['upgrade', '§{"name":"meshpair.upgrade","data":{}}', 'PSX-78'],
  ['unknown', '§{"name":"chat.typing","data":{"x":1}}', 'PSX-64: ignored'],
  ['name-of-javascript', '§{"name":"constructor","data":null}', 'PSX-64: ignored'],
  ['without-data', '§{"name":"data"}', 'PSX-64: ignored'],
  ['more-in-it', '§{"x":1,"name":"peer.x","data":[1]}', 'PSX-64: ignored'],
  ['escapes', '§{"name":"peer\\u002ex","data":"\\u00a7"}', 'PSX-64: ignored']
].map(([name, text, note]) => {
  const { name: called, data } = JSON.parse(text.slice(1))
  return { name, note, text, called, ...(data === undefined ? {} : { data }) }
})

const userTexts = [
  ['plain', 'hello'],
  ['empty', ''],
  ['sign-alone', '§'],
  ['sign-and-text', '§ 7'],
  ['sign-and-cut-json', '§{"name":"peer.x"'],
  ['sign-and-more-after-json', '§{"name":"peer.x"}}'],
  ['sign-and-list', '§["name"]'],
  ['sign-and-text-json', '§"name"'],
  ['sign-and-null', '§null'],
  ['no-name', '§{"data":1}'],
  ['empty-name', '§{"name":"","data":1}'],
  ['number-as-name', '§{"name":1,"data":1}'],
  ['name-in-upper-case', '§{"Name":"peer.x"}'],
  ['two-signs', '§§{"name":"peer.x"}'],
  ['space-before-sign', ' §{"name":"peer.x"}'],
  ['json-without-sign', '{"name":"peer.signal","data":{}}']
].map(([name, text]) => ({ name, note: 'PSX-64: a text of the user', text }))

const candidate = { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 }
const signals = [
  ['offer', { type: 'offer', sdp: 'v=0\r\n' }, 'offer', 'PSX-66'],
  ['answer', { type: 'answer', sdp: 'v=0\r\na=<>&\r\n' }, 'answer', 'PSX-66'],
  ['candidate', { candidate }, 'candidate', 'PSX-66'],
  ['candidate-with-type', { type: 'candidate', candidate }, 'candidate', 'PSX-66: as newer clients send it'],
  ['candidate-with-fragment', { candidate: { ...candidate, usernameFragment: 'x' } }, 'candidate', 'PSX-66: unknown members'],
  ['candidate-null', { candidate: null }, null, 'PSX-66: none is meant'],
  ['candidate-empty', { candidate: { ...candidate, candidate: '' } }, null, 'PSX-66: the end of candidates'],
  ['renegotiate', { type: 'renegotiate', renegotiate: true }, null, 'PSX-66: another kind'],
  ['transceiver', { type: 'transceiverRequest', transceiverRequest: { kind: 'audio' } }, null, 'PSX-66: another kind'],
  ['rollback', { type: 'rollback' }, null, 'PSX-66: another kind'],
  ['offer-without-sdp', { type: 'offer' }, null, 'PSX-66: no signal'],
  ['empty', {}, null, 'PSX-66: no signal'],
  ['null', null, null, 'PSX-66: no signal'],
  ['text', 'offer', null, 'PSX-66: no signal'],
  ['list', [], null, 'PSX-66: no signal']
].map(([name, data, means, note]) => {
  const v = { name, note, text: `§${json({ name: 'peer.signal', data })}`, means }
  if (means === 'candidate') v.value = candidate
  else if (means) v.value = { sdp: data.sdp }
  return v
})

const hello = (data) => `§${json({ name: 'meshpair.hello', data })}`
const H = { version: 1, window: 65536, maxMessage: 100000 }
const hellos = [
  ['plain', H, 'PSX-70'],
  ['another-version', { ...H, version: 2, x: 1 }, 'PSX-70: another version is one all the same'],
  ['great', { version: 1, window: 2 ** 31, maxMessage: 2 ** 40 }, 'PSX-70'],
  ['smallest', { ...H, maxMessage: 1 }, 'PSX-70']
].map(([name, data, note]) => ({ name, note, text: hello(data), window: data.window, maxMessage: data.maxMessage }))

const hellosRefused = [
  ['version-0', hello({ ...H, version: 0 }), 'no version'],
  ['without-version', hello({ window: 65536, maxMessage: 1 }), 'no version'],
  ['small-window', hello({ ...H, window: 65535 }), 'W is too small'],
  ['without-window', hello({ version: 1, maxMessage: 1 }), 'no W'],
  ['without-maxMessage', hello({ version: 1, window: 65536 }), 'no M'],
  ['texts', hello({ version: '1', window: '65536', maxMessage: '1' }), 'texts are no numbers'],
  ['null', hello(null), 'no data'],
  ['without-data', '§{"name":"meshpair.hello"}', 'no data']
].map(([name, text, why]) => ({ name, note: `PSX-70: ${why}`, text }))

const MAX_PAYLOAD = 32768
const TEXT = 1
const BYTES = 2
const PART = 3
const ACK = 4
const head = (kind, number, width) => hex(kind) + varint(number, width)

const frames = [
  ['text', TEXT, 1, '68c3a9', 'a text'],
  ['text-empty', TEXT, 2, '', 'an empty text'],
  ['bytes', BYTES, 3, '00ff', 'bytes'],
  ['bytes-empty', BYTES, 127, '', 'no bytes, and the greatest number in one byte'],
  ['part', PART, 128, '61', 'a part'],
  ['part-cut-character', PART, 300, 'e2', 'a part of a text that ends inside a character'],
  ['acknowledgement', ACK, 16384, '', 'an acknowledgement'],
  ['acknowledgement-0', ACK, 0, '', 'an acknowledgement: nothing has come yet'],
  ['greatest-number', BYTES, '18446744073709551615', '01', 'the greatest number']
].map(([name, kind, number, payload, note]) => ({ name, note: `PSX-72: ${note}`, hex: head(kind, number) + payload, kind, number: `${number}`, payload }))
frames.push({ name: 'wide-number', note: 'PSX-72, WIR-8: a number in 10 bytes', hex: head(BYTES, 5, 10) + '01', canonical: head(BYTES, 5) + '01', kind: BYTES, number: '5', payload: '01' })

const framesRefused = [
  ['nothing', '', 'no kind'],
  ['kind-alone', '01', 'no number'],
  ['number-cut', '0180', 'the number ends too early'],
  ['number-11-bytes', '01' + '80'.repeat(10) + '00', 'a number of 11 bytes'],
  ['number-65-bits', '01' + 'ff'.repeat(9) + '02', 'a number of 65 bits'],
  ['kind-0', '000161', 'another kind'],
  ['kind-5', '050161', 'another kind'],
  ['kind-255', 'ff0161', 'another kind'],
  ['number-0', '010061', 'frames are numbered from 1'],
  ['part-0', '030061', 'frames are numbered from 1'],
  ['acknowledgement-with-payload', '040161', 'an acknowledgement has no payload']
].map(([name, bytes, why]) => ({ name, note: `PSX-72: ${why}`, hex: bytes }))
framesRefused.push({ name: 'too-long', note: 'PSX-72: a payload of 32,769 bytes', repeat: { hex: '01', times: MAX_PAYLOAD + 3 } })

// split cuts the user's messages into frames: a list of pieces, as in chunks.json.
function split(messages) {
  let number = 0
  return messages.flatMap(({ type, from, to }) => {
    const list = []
    for (let at = from; at + MAX_PAYLOAD < to; at += MAX_PAYLOAD) list.push([head(PART, ++number), [at, at + MAX_PAYLOAD]])
    const at = from + list.length * MAX_PAYLOAD
    list.push(at < to ? [head(type, ++number), [at, to]] : [head(type, ++number)])
    return list
  })
}

const letters = { hex: Buffer.from('abcdefghijklmnopqrstuvw').toString('hex'), length: 200000 }
const messages = [
  ['text', 'one frame', [[TEXT, 0, 5]]],
  ['empty', 'one frame each', [[TEXT, 0, 0], [BYTES, 0, 0]]],
  ['32768', 'the greatest message in one frame', [[BYTES, 0, MAX_PAYLOAD]]],
  ['32769', 'the smallest message in two', [[TEXT, 0, MAX_PAYLOAD + 1]]],
  ['65536', 'a multiple: no empty frame follows', [[BYTES, 3, 3 + 2 * MAX_PAYLOAD]]],
  ['several', 'numbers go on', [[BYTES, 0, 1], [TEXT, 7, 7 + 100000], [TEXT, 0, 0], [BYTES, 1, 4]]]
].map(([name, note, list]) => {
  const sent = list.map(([type, from, to]) => ({ type, from, to }))
  return { name, note: `PSX-72: ${note}`, content: letters, messages: sent.map((m) => ({ type: m.type, data: m.from < m.to ? [[m.from, m.to]] : [] })), frames: split(sent) }
})

export const peersox = { api, registrations, internals, userTexts, signals, hellos, hellosRefused, frames, framesRefused, messages }

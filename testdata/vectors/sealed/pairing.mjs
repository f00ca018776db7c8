// Writes pairing.json; see README.md. With --check it writes nothing and exits with 1 when pairing.json is not what it
// would write.

import { aesgcm, bech32m, concat, expand, filled, flip, hex, hmac, noise, publicOf, rekey, write } from './primitives.mjs'

const label = 'meshpair sealed pairing 1'
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(n)); return b }

function derive({ secret, code, hash }) {
  const root = hmac(label, secret)
  const [psk, gate] = ['psk', 'gate'].map((what) => expand(root, `${what}\0${code}\0${hash}`, 32))
  return { root, psk, gate }
}

const pairing = (p) => {
  const d = derive(p)
  return { secret: hex(p.secret), code: p.code, hash: p.hash, root: hex(d.root), psk: hex(d.psk), gate: hex(d.gate) }
}

const EPOCH = 2 ** 22
// a message that is sealed for a road, with its number there
function sealed(key, { number, message }) {
  for (let i = EPOCH; i <= number; i += EPOCH) key = rekey(key)
  return { number, message: hex(message), sealed: hex(aesgcm(key, number, '', message)) }
}

const text = (name, data) => concat([0], '§', JSON.stringify({ name, data }))
const ping = concat([0], 'PING')
const frame = (kind, number, payload) => concat([kind, number], payload) // of a number below 128

function handshake(p, init, resp, hellos, roads) {
  const { psk, gate } = derive(p)
  const ei = publicOf(init.ephemeral), er = publicOf(resp.ephemeral)
  const [hi, hr] = hellos.map((h) => Buffer.from(JSON.stringify(h)))
  const r = noise('Noise_XXpsk3_25519_AESGCM_SHA256', `${label}\0${p.code}\0${p.hash}`, psk, init, resp,
    [hmac(gate, ei), concat(hmac(gate, ei, er), hr), hi])
  const end = (self, hello) => ({ private: hex(self.private), ephemeral: hex(self.ephemeral), hello: hello.toString() })
  return {
    secret: hex(p.secret), code: p.code, hash: p.hash, initiator: end(init, hi), responder: end(resp, hr),
    messages: r.messages.map(hex),
    texts: r.messages.map((m, i) => '§' + JSON.stringify({ name: 'meshpair.sealed', data: { step: i + 1, data: m.toString('base64') } })),
    initiatorKey: hex(r.first), responderKey: hex(r.second),
    roads: roads.map(({ offer, initiator, responder }) => {
      const info = offer ? concat('channel\0', u64(offer)) : Buffer.from('relay')
      const [ki, kr] = [r.first, r.second].map((key) => expand(key, info, 32))
      return {
        offer, initiatorKey: hex(ki), responderKey: hex(kr),
        initiator: initiator.map((m, i) => sealed(ki, m.message ? m : { number: i, message: m })),
        responder: responder.map((m, i) => sealed(kr, m.message ? m : { number: i, message: m })),
      }
    }),
  }
}

const secret = filled(0x20, 16), other = Buffer.alloc(16, 255)
const one = { secret, code: '123456', hash: 'ab'.repeat(32) }
const secretText = bech32m('mppair', secret)
const wrap = (data) => ({ hex: hex(data), text: bech32m('mppair', data) })
const init = { private: filled(0x10), ephemeral: filled(0x40) }
const resp = { private: filled(0x70), ephemeral: filled(0xa0) }
const hello = (window, maxMessage) => ({ version: 1, window, maxMessage })

write('pairing.json', {
  texts: [wrap(secret), wrap(other), wrap(Buffer.alloc(16))],
  failing: [
    { text: '', note: 'empty' },
    { text: flip(secretText, 15), note: 'a changed character' },
    { text: flip(secretText, secretText.length - 1), note: 'a changed character of the checksum' },
    { text: secretText.slice(0, -1), note: 'the last character is lost' },
    { text: secretText + 'q', note: 'a character too many' },
    { text: secretText.slice(0, 20) + secretText[21] + secretText[20] + secretText.slice(22), note: 'two characters are exchanged' },
    { text: secretText.slice(0, 20).toUpperCase() + secretText.slice(20), note: 'small and capital letters' },
    { text: secretText.slice(0, 20) + 'b' + secretText.slice(21), note: 'a letter that is no digit' },
    { text: bech32m('mpsecret', secret), note: 'another prefix' },
    { text: bech32m('mpsecret', filled(0)), note: 'the secret of a group' },
    { text: bech32m('mppair', filled(0, 15)), note: '15 bytes' },
    { text: bech32m('mppair', filled(0, 17)), note: '17 bytes' },
    { text: bech32m('mppair', filled(0)), note: '32 bytes' },
  ],
  told: [ // what one user tells the other, what that means, and whether it is sealed
    ...['-', '#'].map((c) => ({ text: `123456${c}${secretText}`, code: '123456', secret: secretText })),
    { text: `https://pair.example/123456#${secretText}`, code: '123456', secret: secretText },
    { text: ` https://pair-up.example:3000/a-b/000000#${secretText.toUpperCase()}\n`, code: '000000', secret: secretText },
    { text: '123456', code: '123456', secret: '' },
    { text: 'https://pair-up.example/123456', code: '123456', secret: '' },
  ],
  toldFailing: [
    { text: '123456-', note: 'the secret is lost' },
    { text: '123456#', note: 'the secret is lost' },
    { text: `123456-${secretText.slice(0, -5)}`, note: 'a part of the secret is lost' },
    { text: `123456-${flip(secretText, 15)}`, note: 'a slip in the secret' },
    { text: 'https://pair.example/123456#', note: 'the secret is lost from a link' },
    { text: '123456#654321', note: 'no secret' },
    { text: `123456-${bech32m('mpsecret', filled(0))}`, note: 'the secret of a group' },
  ],
  pairings: [
    pairing(one), pairing({ ...one, secret: other }), pairing({ ...one, code: '654321' }), pairing({ ...one, hash: 'cd'.repeat(32) }),
  ],
  handshakes: [
    handshake(one, init, resp, [hello(4194304, 67108864), hello(65536, 100000)], [
      {
        offer: 0,
        initiator: [text('peer.signal', { type: 'offer', sdp: 'v=0' }), frame(1, 1, 'hello'), text('meshpair.end', { after: 1 }),
          { number: EPOCH - 1, message: Buffer.from('the last of its key') }, { number: EPOCH, message: Buffer.from('the first of the next') }],
        responder: [ping, frame(4, 1, '')],
      },
      { offer: 1, initiator: [frame(2, 1, filled(0, 200))], responder: [frame(3, 1, 'part'), frame(1, 2, 's')] },
      { offer: 2, initiator: [ping], responder: [ping] },
    ]),
    handshake({ secret: other, code: '000000', hash: '0'.repeat(64) }, resp, init, [hello(70000, 1), hello(65536, 2)],
      [{ offer: 0, initiator: [frame(1, 1, 'x')], responder: [frame(1, 1, 'y')] }]),
  ],
})

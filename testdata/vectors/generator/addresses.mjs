// addresses.json: keys in request targets, labels of data channels, and the
// URLs and queries of WebSockets between members.

const G = 4000000000
const A = 3000000000

// Keys as users give them, and the request target that a browser writes: the URL
// parser of Node.js is that of the browsers.
const keys = Object.entries({
  'letters': 'chat',
  'space': 'a b',
  'accent': 'clé',
  'combining': 'cle\u0301',
  'emoji': '🔑',
  'apostrophe': 'it\'s',
  'percent-form': 'it%27s',
  'lower-case-percent-form': 'it%c3%a9',
  'lone-percent': '100%',
  'plus': 'a+b',
  'ampersand': 'a&b=c;d',
  'quotes': '"a"<b>`c`',
  'braces': '{a}|[b]~', // and no ^, on which versions of browsers differ
  'slashes': 'a/b//c/',
  'dots': 'a.b/..c/d..',
  'punctuation': '-_.!*(),:@$',
  'greatest': 'k'.repeat(512),
  'greatest-in-percent-form': 'é'.repeat(85) + 'ab'
}).map(([name, key]) => {
  const url = new URL('ws://h/' + key)
  return { name, note: 'SIG-1: the key in a request, as browsers write it', key, target: url.pathname }
})

const targets = [
  ['plain', '/chat', 'chat', false, 'SIG-1', '/Chat'],
  ['not-decoded', '/it%27s', 'it%27s', false, 'SIG-1: compared as sent, without decoding', '/it\'s'],
  ['case-of-percent-form', '/%c3%A9', '%c3%A9', false, 'SIG-1: the case of hexadecimal digits counts', '/%C3%A9'],
  ['lone-percent', '/100%', '100%', false, 'SIG-1: a % that begins no percent form', '/100%25'],
  ['slashes', '/a//b/', 'a//b/', false, 'SIG-1: only the first slash is left out', '/a/b/'],
  ['dots', '/a/../b', 'a/../b', false, 'SIG-1: dots stay, when a client sends them', '/b'],
  ['plus', '/a+b', 'a+b', false, 'SIG-1: a plus sign is one', '/a%20b'],
  ['semicolon', '/a;b=c', 'a;b=c', false, 'SIG-1', '/a'],
  ['query', '/a?b/c', 'a', false, 'SIG-1: the key ends before ?', '/a/c'],
  ['empty-query', '/a?', 'a', false, 'SIG-1', '/a%3F'],
  ['favored', '/a?favored', 'a', true, 'SIG-3'],
  ['favored-empty', '/a?favored=', 'a', true, 'SIG-3: with = and no value'],
  ['favored-0', '/a?favored=0', 'a', true, 'SIG-3: its presence counts, not its value'],
  ['favored-among-others', '/a?x=1&favored&y', 'a', true, 'SIG-3'],
  ['favored-last', '/a?x&y=%&favored=false', 'a', true, 'SIG-3: beside a malformed one'],
  ['favored-twice', '/a?favored&favored=1', 'a', true, 'SIG-3'],
  ['favored-as-value', '/a?x=favored', 'a', false, 'SIG-3: a value'],
  ['favored-in-a-name', '/a?favoredX&x-favored', 'a', false, 'SIG-3: parts of other names'],
  ['favored-in-upper-case', '/a?Favored', 'a', false, 'SIG-3: names differ in case'],
  ['favored-after-semicolon', '/a?x;favored', 'a', false, 'SIG-3: & separates, ; does not'],
  ['favored-in-the-key', '/favored', 'favored', false, 'SIG-3: no query'],
  ['greatest', '/' + 'k'.repeat(512), 'k'.repeat(512), false, 'SIG-2: 512 bytes'],
  ['greatest-favored', '/' + '%C3%A9'.repeat(85) + 'ab?favored', '%C3%A9'.repeat(85) + 'ab', true, 'SIG-2: 512 bytes, the query is not of the key']
].map(([name, target, key, favored, note, unlike]) => ({ name, note, target, key, favored, ...(unlike && { unlike }) }))

const targetsRefused = [
  ['empty', '/', 'SIG-2: no key'],
  ['empty-with-query', '/?favored', 'SIG-2: no key'],
  ['too-long', '/' + 'k'.repeat(513), 'SIG-2: 513 bytes'],
  ['too-long-in-percent-form', '/' + '%C3%A9'.repeat(86), 'SIG-2: 86 letters, 516 bytes as sent'],
  ['far-too-long', '/' + 'k'.repeat(4000), 'SIG-2: still accepted, and then closed']
].map(([name, target, note]) => ({ name, note, target, close: 4741 }))

const labels = [
  ['internal', `{"id":${A},"type":0}`, 0, 'CHN-7: as every implementation writes it'],
  ['with-joining', `{"id":${A},"type":1}`, 1, 'CHN-7'],
  ['with-member', `{"id":${A},"type":2}`, 2, 'CHN-7'],
  ['another-order', `{"type":1,"id":${A}}`, 1, 'CHN-7: any order'],
  ['white-space', ` {\n\t"id" : ${A} ,\r "type" : 2 } `, 2, 'CHN-7: white space'],
  ['unknown-members', `{"x":[{"id":1}],"id":${A},"type":0,"y":null,"typ":2}`, 0, 'CHN-7: unknown members'],
  ['escaped-name', `{"\\u0069d":${A},"type":1}`, 1, 'CHN-7: a name with an escape']
].map(([name, label, type, note]) => ({ name, note, label, id: A, type }))

const labelsRefused = [
  ['empty', '', 'no JSON'],
  ['word', 'label', 'no JSON'],
  ['number', `${A}`, 'no object'],
  ['list', `[${A},0]`, 'no object'],
  ['null', 'null', 'no object'],
  ['cut', `{"id":${A},"type":0`, 'no JSON'],
  ['more-after-it', `{"id":${A},"type":0}{}`, 'no JSON'],
  ['kind-3', `{"id":${A},"type":3}`, 'another kind'],
  ['kind-negative', `{"id":${A},"type":-1}`, 'another kind'],
  ['kind-fraction', `{"id":${A},"type":0.5}`, 'another kind'],
  ['kind-text', `{"id":${A},"type":"0"}`, 'a text is no kind'],
  ['kind-null', `{"id":${A},"type":null}`, 'null is no kind'],
  ['kind-missing', `{"id":${A}}`, 'no kind'],
  ['kind-in-upper-case', `{"id":${A},"Type":0}`, 'names differ in case: no kind'],
  ['id-text', `{"id":"${A}","type":0}`, 'a text is no id'],
  ['id-missing', '{"type":0}', 'no id'],
  ['id-missing-with-joining', '{"type":1}', 'no id'],
  ['id-null-with-member', '{"id":null,"type":2}', 'null is no id'],
  ['id-33-bits', `{"id":${A + 2 ** 32},"type":0}`, 'no id: more than 32 bits'],
  ['id-negative', '{"id":-1,"type":0}', 'no id']
].map(([name, label, why]) => ({ name, note: `CHN-7: ${why}`, label }))

const dials = [
  ['internal', 'ws://h:1', 0, A, undefined, 'CHN-9: a member, without the key'],
  ['with-joining', 'wss://h.example', 1, 7, 'key', 'CHN-9: a joiner, by its signaling id'],
  ['with-member', 'ws://h:1', 2, 0, 'key', 'CHN-9: to a joiner, by negotiation'],
  ['invitation', 'ws://h:1', 2, -1, 'key', 'CHN-9: an invitation'],
  ['slash', 'ws://h:1/', 0, A, undefined, 'CHN-9: a / at the end of the URL is not doubled'],
  ['path', 'ws://h:1/bot/x', 2, -1, 'key', 'CHN-9: a URL with a path'],
  ['ipv6', 'ws://[::1]:1', 1, 7, 'key', 'CHN-9: a host in brackets'],
  ['key-space', 'ws://h:1', 2, -1, 'a b', 'CHN-9: %20, not a plus sign'],
  ['key-plus', 'ws://h:1', 2, -1, 'a+b', 'CHN-9: %2B'],
  ['key-reserved', 'ws://h:1', 1, 7, 'a&b=c?d#e/f%g;h', 'CHN-9: in percent-encoding'],
  ['key-percent-form', 'ws://h:1', 1, 7, 'it%27s', 'CHN-9: the key as the user gave it, % encoded again'],
  ['key-unicode', 'ws://h:1', 1, 7, 'clé🔑', 'CHN-9: UTF-8 in percent-encoding']
].map(([name, url, type, senderId, key, note]) => {
  const query = `type=${type}&wcId=${G}&senderId=${senderId}` + (key === undefined ? '' : `&key=${encodeURIComponent(key)}`)
  const v = { name, note, url, type, wcId: G, senderId }
  if (key !== undefined) v.key = key
  return { ...v, dialled: url.replace(/\/$/, '') + '/?' + query }
})

const calls = [
  ['internal', `type=0&wcId=${G}&senderId=${A}`, 0, G, A, '', 'CHN-9'],
  ['with-joining', `type=1&wcId=${G}&senderId=7&key=key`, 1, G, 7, 'key', 'CHN-9'],
  ['invitation', `type=2&wcId=${G}&senderId=-1&key=key`, 2, G, -1, 'key', 'CHN-9: a signed number'],
  ['another-order', `key=key&senderId=-1&wcId=${G}&type=2`, 2, G, -1, 'key', 'CHN-9: any order'],
  ['others-among-them', `a=b&type=2&=&wcId=${G}&c&senderId=-1&&key=key&types=0`, 2, G, -1, 'key', 'CHN-9: other parameters'],
  ['leading-zeros', `type=01&wcId=0${G}&senderId=007&key=key`, 1, G, 7, 'key', 'CHN-10: decimal digits'],
  ['greatest', `type=1&wcId=${2n ** 63n - 1n}&senderId=-${2n ** 63n}&key=key`, 1, `${2n ** 63n - 1n}`, `-${2n ** 63n}`, 'key', 'CHN-10: 64 bits'],
  ['key-space', `type=1&wcId=${G}&senderId=7&key=a%20b`, 1, G, 7, 'a b', 'CHN-9'],
  ['key-encoded-plus', `type=1&wcId=${G}&senderId=7&key=a%2Bb`, 1, G, 7, 'a+b', 'CHN-9'],
  ['key-raw-plus', `type=1&wcId=${G}&senderId=7&key=a+b`, 1, G, 7, 'a+b', 'CHN-9: as originals send it'],
  ['key-reserved', `type=1&wcId=${G}&senderId=7&key=a%26b%3Dc%3Fd%23e%2Ff`, 1, G, 7, 'a&b=c?d#e/f', 'CHN-9'],
  ['key-equals', `type=1&wcId=${G}&senderId=7&key=a=b`, 1, G, 7, 'a=b', 'CHN-9: only the first = separates'],
  ['key-lone-percent', `type=1&wcId=${G}&senderId=7&key=100%`, 1, G, 7, '100%', 'CHN-9: as originals send it'],
  ['key-unicode', `type=1&wcId=${G}&senderId=7&key=cl%C3%A9%F0%9F%94%91`, 1, G, 7, 'clé🔑', 'CHN-9']
].map(([name, query, type, wcId, senderId, key, note]) => ({ name, note, query, type, wcId: `${wcId}`, senderId: `${senderId}`, key }))

const callsRefused = [
  ['nothing', '', 'nothing'],
  ['type-missing', `wcId=${G}&senderId=${A}`, 'no type'],
  ['wcId-missing', `type=0&senderId=${A}`, 'no wcId'],
  ['senderId-missing', `type=0&wcId=${G}`, 'no senderId'],
  ['type-empty', `type=&wcId=${G}&senderId=${A}`, 'an empty parameter is missing'],
  ['wcId-empty', `type=0&wcId=&senderId=${A}`, 'an empty parameter is missing'],
  ['senderId-empty', `type=0&wcId=${G}&senderId=`, 'an empty parameter is missing'],
  ['senderId-without-value', `type=0&wcId=${G}&senderId`, 'an empty parameter is missing'],
  ['type-3', `type=3&wcId=${G}&senderId=${A}&key=key`, 'another type'],
  ['type-negative', `type=-1&wcId=${G}&senderId=${A}&key=key`, 'another type'],
  ['type-word', `type=internal&wcId=${G}&senderId=${A}&key=key`, 'no number'],
  ['wcId-hexadecimal', `type=0&wcId=0x10&senderId=${A}`, 'no decimal digits'],
  ['wcId-fraction', `type=0&wcId=1.5&senderId=${A}`, 'no decimal digits'],
  ['wcId-exponent', `type=0&wcId=4e9&senderId=${A}`, 'no decimal digits'],
  ['wcId-plus', `type=0&wcId=%2B${G}&senderId=${A}`, 'no decimal digits'],
  ['wcId-raw-plus', `type=0&wcId=+${G}&senderId=${A}`, 'no decimal digits'],
  ['wcId-space', `type=0&wcId=%20${G}&senderId=${A}`, 'no decimal digits'],
  ['wcId-minus-alone', `type=0&wcId=-&senderId=${A}`, 'no decimal digits'],
  ['wcId-more-after-it', `type=0&wcId=${G}x&senderId=${A}`, 'something after the number'],
  ['wcId-65-bits', `type=0&wcId=${2n ** 63n}&senderId=${A}`, 'more than 64 bits'],
  ['type-1-without-key', `type=1&wcId=${G}&senderId=7`, 'no key'],
  ['type-1-with-empty-key', `type=1&wcId=${G}&senderId=7&key=`, 'no key'],
  ['type-2-without-key', `type=2&wcId=${G}&senderId=-1`, 'no key'],
  ['type-2-with-empty-key', `type=2&wcId=${G}&senderId=-1&key`, 'no key'],
  ['names-in-upper-case', `Type=0&WcId=${G}&SenderId=${A}`, 'names differ in case']
].map(([name, query, why]) => ({ name, note: `CHN-10: ${why}`, query, status: 401 }))

export const addresses = { keys, targets, targetsRefused, labels, labelsRefused, dials, calls, callsRefused }

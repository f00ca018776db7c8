// Writes sealed.json; see README.md. With --check it writes nothing and exits with 1 when sealed.json is not what it
// would write.

import { aesgcm, bech32m, concat, expand, filled, flip, hex, hmac, noise, publicOf, rekey, sha256, u32, write } from './primitives.mjs'

function derive(secret, key) {
  const root = hmac('meshpair sealed group 1', secret)
  const [room, psk, gate] = ['room', 'psk', 'gate'].map((label) => expand(root, label + '\0' + key, 32))
  return { root, room, psk, gate }
}

const EPOCH = 2 ** 22
function sealedMessage(key, from, to, counter, message) {
  for (let i = EPOCH; i <= counter; i += EPOCH) key = rekey(key)
  return aesgcm(key, counter, concat(u32(from), u32(to)), message)
}

function handshake({ secret, key }, init, resp, messages) {
  const { room, psk, gate } = derive(secret, key)
  const hello = (self) => concat(u32(self.id), u32(self.index))
  const ei = publicOf(init.ephemeral), er = publicOf(resp.ephemeral)
  const payloads = [hmac(gate, ei), concat(hmac(gate, ei, er), hello(resp)), hello(init)]
  const r = noise('Noise_XXpsk3_25519_AESGCM_SHA256', concat('meshpair sealed group 1', room), psk, init, resp, payloads)
  const end = (self) => ({ private: hex(self.private), ephemeral: hex(self.ephemeral), id: self.id, index: self.index })
  return {
    secret: hex(secret), key, initiator: end(init), responder: end(resp),
    messages: r.messages.map(hex), binding: hex(r.binding), initiatorKey: hex(r.first), responderKey: hex(r.second),
    sealed: messages.map(({ from, counter, message }) => {
      const [k, a, b] = from === 'initiator' ? [r.first, init, resp] : [r.second, resp, init]
      return { from, counter, message: hex(Buffer.from(message)), sealed: hex(sealedMessage(k, a.id, b.id, counter, Buffer.from(message))) }
    }),
  }
}

function invitation({ secret, key }, init, bot) {
  const r = noise('Noise_XX_25519_AESGCM_SHA256', 'meshpair sealed invitation 1', null, init, bot, ['', '', concat(secret, key)])
  const end = (self) => ({ private: hex(self.private), ephemeral: hex(self.ephemeral) })
  return { secret: hex(secret), key, inviter: end(init), bot: end(bot), messages: r.messages.map(hex) }
}

const group = (secret, key) => {
  const d = derive(secret, key)
  return { secret: hex(secret), key, root: hex(d.root), room: hex(d.room), psk: hex(d.psk), gate: hex(d.gate) }
}
const text = (kind, prefix, data) => ({ kind, hex: hex(data), text: bech32m(prefix, data) })
const identity = (raw) => ({ private: hex(raw), keep: bech32m('mpidsecret', raw), ...text('identity', 'mpid', publicOf(raw)) })

const secret = filled(0), other = Buffer.alloc(32, 255)
const secretText = bech32m('mpsecret', secret)
const kelvin = bech32m('mpsecret', filled(0x20, 31)).toUpperCase().replace('K', '\u212a')
if (Buffer.byteLength(kelvin) !== secretText.length) throw new Error('no K in it')
const init = { private: filled(0x10), ephemeral: filled(0x40), id: 0x80000001, index: 1 }
const resp = { private: filled(0x70), ephemeral: filled(0xa0), id: 0xfffffffe, index: 0xdeadbeef }
const body = (key, nb, part) => {
  const b = aesgcm(key, nb, '', part)
  return { key: hex(key), nb, part: hex(part), sealed: hex(b), digest: hex(sha256(b)) }
}

const all = {
  texts: [
    text('secret', 'mpsecret', secret), text('secret', 'mpsecret', other), text('secret', 'mpsecret', Buffer.alloc(32)),
    text('identity', 'mpid', publicOf(init.private)), text('identity', 'mpid', other),
  ],
  failing: [
    { kind: 'secret', text: '', note: 'empty' },
    { kind: 'secret', text: flip(secretText, 20), note: 'a changed character' },
    { kind: 'secret', text: flip(secretText, secretText.length - 1), note: 'a changed character of the checksum' },
    { kind: 'secret', text: secretText.slice(0, -1), note: 'the last character is lost' },
    { kind: 'secret', text: secretText + 'q', note: 'a character too many' },
    { kind: 'secret', text: secretText.slice(0, 30) + secretText[31] + secretText[30] + secretText.slice(32), note: 'two characters are exchanged' },
    { kind: 'secret', text: secretText.slice(0, 30).toUpperCase() + secretText.slice(30), note: 'small and capital letters' },
    { kind: 'secret', text: secretText.slice(0, 30) + 'b' + secretText.slice(31), note: 'a letter that is no digit' },
    { kind: 'secret', text: bech32m('mpid', secret), note: 'an identity' },
    { kind: 'identity', text: secretText, note: 'a secret' },
    { kind: 'secret', text: bech32m('mpsecret', filled(0, 31)), note: '31 bytes' },
    { kind: 'secret', text: bech32m('mpsecret', filled(0, 33)), note: '33 bytes' },
    { kind: 'secret', text: kelvin, note: '31 bytes, and a sign of Kelvin for a K, whose small letter is k: 67 bytes of UTF-8' },
  ],
  identities: [identity(init.private), identity(resp.private), identity(other)],
  groups: [
    group(secret, 'chat'), group(secret, 'chat2'), group(other, 'chat'), group(secret, 'a%20b/c%C3%A9'), group(secret, 'k'.repeat(512)),
  ],
  handshakes: [
    handshake({ secret, key: 'chat' }, init, resp, [
      { from: 'initiator', counter: 0, message: 'hello' },
      { from: 'responder', counter: 0, message: '' },
      { from: 'initiator', counter: 1, message: filled(0, 300) },
      { from: 'initiator', counter: EPOCH - 1, message: 'the last of its key' },
      { from: 'initiator', counter: EPOCH, message: 'the first of the next' },
      { from: 'initiator', counter: EPOCH - 2, message: 'a late one' },
      { from: 'initiator', counter: 2 * EPOCH + 5, message: 'the key after that' },
      { from: 'responder', counter: 7, message: 'the other direction' },
    ]),
    handshake({ secret: other, key: 'a%20b' }, resp, init, [{ from: 'responder', counter: 0, message: 'roles exchanged' }]),
  ],
  invitations: [invitation({ secret, key: 'chat' }, init, resp)],
  bodies: [body(other, 0, Buffer.from('to all')), body(other, 4473, filled(1, 15000)), body(filled(5), 1, Buffer.alloc(0))],
}

write('sealed.json', all)

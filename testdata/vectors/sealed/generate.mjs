// Writes sealed.json; see README.md. With --check it writes nothing and exits with 1 when sealed.json is not what it
// would write. It needs Node.js 20 and nothing else, and shares nothing with any implementation.

import { createCipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

const hex = (b) => b.toString('hex')
const concat = (...list) => Buffer.concat(list.map((b) => Buffer.from(b)))
const sha256 = (...list) => createHash('sha256').update(concat(...list)).digest()
const hmac = (key, ...list) => createHmac('sha256', key).update(concat(...list)).digest()
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b }

// filled makes bytes that are easily told apart.
const filled = (first, n = 32) => Buffer.from(Array.from({ length: n }, (_, i) => (first + i) & 255))

// RFC 5869, by hand.
function expand(prk, info, length) {
  let t = Buffer.alloc(0), out = Buffer.alloc(0)
  for (let i = 1; out.length < length; i++) {
    t = hmac(prk, t, info, [i])
    out = concat(out, t)
  }
  return out.subarray(0, length)
}

// RFC 7748, through the DER forms that node takes.
const privateKey = (raw) => createPrivateKey({ key: concat(Buffer.from('302e020100300506032b656e04220420', 'hex'), raw), format: 'der', type: 'pkcs8' })
const publicKey = (raw) => createPublicKey({ key: concat(Buffer.from('302a300506032b656e032100', 'hex'), raw), format: 'der', type: 'spki' })
const publicOf = (raw) => createPublicKey(privateKey(raw)).export({ format: 'der', type: 'spki' }).subarray(12)
const dh = (raw, pub) => diffieHellman({ privateKey: privateKey(raw), publicKey: publicKey(pub) })

function aesgcm(key, n, ad, data) {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64BE(BigInt(n), 4)
  const c = createCipheriv('aes-256-gcm', key, nonce)
  c.setAAD(Buffer.from(ad))
  return concat(c.update(data), c.final(), c.getAuthTag())
}
const rekey = (key) => aesgcm(key, 2n ** 64n - 1n, '', Buffer.alloc(32)).subarray(0, 32)

// Bech32m, with a polynomial division on big integers in the place of the usual shift register.
const digits = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
function bech32m(prefix, data) {
  let bits = [...data].map((v) => v.toString(2).padStart(8, '0')).join('')
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0')
  const values = bits.match(/.{5}/g).map((s) => parseInt(s, 2))
  const all = [...[...prefix].map((c) => c.charCodeAt(0) >> 5), 0, ...[...prefix].map((c) => c.charCodeAt(0) & 31), ...values]
  // x^6 + {29}x^5 + {22}x^4 + {20}x^3 + {21}x^2 + {29}x + {18} over GF(32) with a^5 + a^3 + 1
  const times = (a, b) => {
    let r = 0
    for (let i = 0; i < 5; i++) if (b >> i & 1) r ^= a << i
    for (let i = 8; i >= 5; i--) if (r >> i & 1) r ^= 0b101001 << (i - 5)
    return r
  }
  const generator = [29, 22, 20, 21, 29, 18]
  const poly = [1, ...all, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i + 6 < poly.length; i++) {
    const lead = poly[i]
    generator.forEach((g, j) => { poly[i + 1 + j] ^= times(g, lead) })
  }
  const final = [...Array(6).keys()].map((i) => 0x2bc830a3 >>> (5 * (5 - i)) & 31)
  const check = poly.slice(-6).map((v, i) => v ^ final[i])
  return prefix + '1' + [...values, ...check].map((v) => digits[v]).join('')
}

function derive(secret, key) {
  const root = hmac('meshpair sealed group 1', secret)
  const [room, psk, gate] = ['room', 'psk', 'gate'].map((label) => expand(root, label + '\0' + key, 32))
  return { root, room, psk, gate }
}

// noise runs a handshake of three messages, both ends at once, as there is nothing that one of them would not know.
function noise(name, prologue, psk, init, resp, payloads) {
  let h = concat(name, Buffer.alloc(32 - name.length)), ck = h, k, n
  const mixHash = (b) => { h = sha256(h, b) }
  const hkdf = (ikm, count) => { const b = expand(hmac(ck, ikm), '', 32 * count); return [...Array(count).keys()].map((i) => b.subarray(32 * i, 32 * i + 32)) }
  const mixKey = (ikm) => { [ck, k] = hkdf(ikm, 2); n = 0 }
  const mixPSK = () => { const [a, b, c] = hkdf(psk, 3); ck = a; mixHash(b); k = c; n = 0 }
  const encrypt = (data) => { const b = k ? aesgcm(k, n++, h, data) : Buffer.from(data); mixHash(b); return b }
  const e = (raw) => { const pub = publicOf(raw); mixHash(pub); if (psk) mixKey(pub); return pub }
  const s = (raw) => encrypt(publicOf(raw))
  mixHash(prologue)
  const messages = []
  messages.push(concat(e(init.ephemeral), encrypt(payloads[0])))
  let b = e(resp.ephemeral)
  mixKey(dh(init.ephemeral, publicOf(resp.ephemeral)))
  b = concat(b, s(resp.private))
  mixKey(dh(init.ephemeral, publicOf(resp.private)))
  messages.push(concat(b, encrypt(payloads[1])))
  b = s(init.private)
  mixKey(dh(init.private, publicOf(resp.ephemeral)))
  if (psk) mixPSK()
  messages.push(concat(b, encrypt(payloads[2])))
  const [first, second] = hkdf('', 2)
  return { messages, binding: h, first, second }
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
const flip = (s, i) => s.slice(0, i) + digits[digits.indexOf(s[i]) ^ 1] + s.slice(i + 1)

const secret = filled(0), other = Buffer.alloc(32, 255)
const secretText = bech32m('mpsecret', secret)
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

const out = JSON.stringify(all, null, 1) + '\n'
const file = new URL('sealed.json', import.meta.url)
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== out) {
    console.error('sealed.json is not up to date')
    process.exit(1)
  }
} else {
  writeFileSync(file, out)
}

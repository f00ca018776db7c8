// What the generators of this folder share: encodings, primitives by node:crypto, and a handshake of Noise. It needs Node.js 20
// and nothing else, and shares nothing with any implementation.

import { createCipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

export const hex = (b) => b.toString('hex')
export const concat = (...list) => Buffer.concat(list.map((b) => Buffer.from(b)))
export const sha256 = (...list) => createHash('sha256').update(concat(...list)).digest()
export const hmac = (key, ...list) => createHmac('sha256', key).update(concat(...list)).digest()
export const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b }

// filled makes bytes that are easily told apart.
export const filled = (first, n = 32) => Buffer.from(Array.from({ length: n }, (_, i) => (first + i) & 255))

// RFC 5869, by hand.
export function expand(prk, info, length) {
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
export const publicOf = (raw) => createPublicKey(privateKey(raw)).export({ format: 'der', type: 'spki' }).subarray(12)
export const dh = (raw, pub) => diffieHellman({ privateKey: privateKey(raw), publicKey: publicKey(pub) })

export function aesgcm(key, n, ad, data) {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64BE(BigInt(n), 4)
  const c = createCipheriv('aes-256-gcm', key, nonce)
  c.setAAD(Buffer.from(ad))
  return concat(c.update(data), c.final(), c.getAuthTag())
}
export const rekey = (key) => aesgcm(key, 2n ** 64n - 1n, '', Buffer.alloc(32)).subarray(0, 32)

// Bech32m, with a polynomial division on big integers in the place of the usual shift register.
export const digits = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
export function bech32m(prefix, data) {
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

// noise runs a handshake of three messages, both ends at once, as there is nothing that one of them would not know.
export function noise(name, prologue, psk, init, resp, payloads) {
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

// flip changes a digit of a text.
export const flip = (s, i) => s.slice(0, i) + digits[digits.indexOf(s[i]) ^ 1] + s.slice(i + 1)

// write writes a file of this folder or, with --check, exits with 1 when the file is not what it would write.
export function write(name, all) {
  const out = JSON.stringify(all, null, 1) + '\n'
  const file = new URL(name, import.meta.url)
  if (!process.argv.includes('--check')) {
    writeFileSync(file, out)
  } else if (readFileSync(file, 'utf8') !== out) {
    console.error(`${name} is not up to date`)
    process.exit(1)
  }
}

// Protocol Buffers by hand, as hex, for the forms that no encoder writes.

export const hex = (...bytes) => Buffer.from(bytes).toString('hex')

// varint encodes v; with a width, in that many bytes, which may be more than it needs.
export function varint(v, width = 1) {
  let rest = BigInt.asUintN(64, BigInt(v))
  const bytes = []
  do {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  } while (rest > 0n || bytes.length < width)
  bytes[bytes.length - 1] &= 0x7f
  return hex(...bytes)
}

export const tag = (number, wireType, width = 1) => varint((BigInt(number) << 3n) | BigInt(wireType), width)

export const uint = (number, v, width = 1) => tag(number, 0) + varint(v, width)
export const bytes = (number, content) => tag(number, 2) + varint(content.length / 2) + content
export const text = (number, string) => bytes(number, Buffer.from(string).toString('hex'))
export const fixed64 = (number) => tag(number, 1) + '0102030405060708'
export const fixed32 = (number) => tag(number, 5) + '01020304'
export const group = (number, content = '') => tag(number, 3) + content + tag(number, 4)
export const packed = (number, list) => bytes(number, list.map((v) => varint(v)).join(''))

// nestedGroups returns groups of one field number, one inside the other.
export const nestedGroups = (number, depth) => tag(number, 3).repeat(depth) + tag(number, 4).repeat(depth)

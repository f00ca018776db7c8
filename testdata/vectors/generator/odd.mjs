// Forms that every message has to cope with, derived from one ordinary value of
// each message: its schema says where to put what.

import { bytes, fixed32, fixed64, group, hex, nestedGroups, tag, uint, varint } from './bytes.mjs'
import { encode, fieldsByNumber, typeOf } from './schema.mjs'

export const MAX_SIZE = 1 << 20
const MAX_NUMBER = 2 ** 29 - 1

// One field of each wire type under numbers that no message uses.
const unknown = {
  'varint': uint(16, 300),
  'fixed64': fixed64(17),
  'bytes': bytes(18, 'ffffff'),
  'group': group(19, uint(1, 1) + group(2, bytes(3, '09')) + fixed64(4) + fixed32(5)),
  'fixed32': fixed32(20)
}
const allUnknown = Object.values(unknown).join('')

const ignoresWireTypes = 'reads a known field number without looking at its wire type'

// wireTypes returns those that a decoder takes for the field.
function wireTypes(field) {
  const own = field.resolvedType?.fields || ['bytes', 'string'].includes(field.type) ? 2 : 0
  return field.repeated ? [own, 2] : [own]
}

const embedded = (field) => field?.resolvedType?.fields !== undefined

// wrongTypes returns every field of a message under every wire type it does not have.
function wrongTypes(type) {
  const forms = [(n) => uint(n, 1), fixed64, (n) => bytes(n, '0101'), (n) => group(n, uint(n, 1)), null, fixed32]
  const wrong = (field) => forms.filter((form, wireType) => form && !wireTypes(field).includes(wireType))
  return fieldsByNumber(type).map((field) => wrong(field).map((form) => form(field.id)).join('')).join('')
}

// explicit returns the field with its default value, as some encoders write it.
const explicit = (field) => (wireTypes(field)[0] === 0 && !field.repeated ? uint(field.id, 0) : bytes(field.id, ''))

// stretch writes all tags, lengths and varints of a message in 10 bytes each.
function stretch(type, value) {
  const wide = (n) => varint(n, 10)
  const field = (f, v) => {
    if (embedded(f)) return [2, delimited(stretch(f.resolvedType, v))]
    if (f.repeated) return [2, delimited(v.map(wide).join(''))]
    if (f.type === 'uint64') return [0, wide(v)]
    if (typeof v === 'string') return [2, delimited(Buffer.from(v).toString('hex'))]
    return v.hex === undefined ? [0, wide(Number(v))] : [2, delimited(v.hex)]
  }
  const delimited = (content) => wide(content.length / 2) + content
  return fieldsByNumber(type)
    .filter((f) => value[f.name] !== undefined)
    .map((f) => {
      const [wireType, content] = field(f, value[f.name])
      return tag(f.id, wireType, 10) + content
    })
    .join('')
}

// oddGood yields [name, hex, value, note, deviation of protobufjs].
export function * oddGood(schema, value) {
  const type = typeOf(schema)
  const base = encode(type, value)
  for (const [kind, field] of Object.entries(unknown)) {
    yield [`unknown-${kind}`, base + field, value, 'WIR-5: an unknown field after the known ones']
  }
  yield ['unknown-before', allUnknown + base, value, 'WIR-5: unknown fields of every wire type before the known ones']
  yield ['unknown-greatest', base + uint(MAX_NUMBER, 1) + bytes(MAX_NUMBER, ''), value, 'WIR-10: the greatest field number']
  yield ['unknown-groups-100', base + nestedGroups(16, 100), value, 'WIR-5: groups nested 100 deep']
  yield ['unknown-varint-greatest', base + uint(16, 2n ** 64n - 1n), value, 'WIR-8: 64 bits in 10 bytes']
  yield ['wrong-wire-types', base + wrongTypes(type), value, 'WIR-6: every known number under every wire type it does not have', ignoresWireTypes]
  yield ['wide-varints', stretch(type, value), value, 'WIR-8: every tag, length and varint in 10 bytes']
  yield ['twice', base + base, twice(type, value), 'WIR-7: every field given twice; the numbers of a list of the message itself add up']

  const sub = fieldsByNumber(type).find((f) => embedded(f) && value[f.name])
  if (sub) {
    const body = encode(sub.resolvedType, value[sub.name])
    const inside = (content) => bytes(sub.id, content)
    const rest = { ...value }
    delete rest[sub.name]
    const head = encode(type, rest)
    yield ['unknown-inside', head + inside(allUnknown + body + allUnknown), value, 'WIR-5: unknown fields in an embedded message']
    yield ['wrong-wire-types-inside', head + inside(body + wrongTypes(sub.resolvedType)), value, 'WIR-6: in an embedded message', ignoresWireTypes]
    yield ['embedded-replaced', base + inside(''), { ...value, [sub.name]: {} }, 'WIR-7: a second, empty embedded message replaces the first']
    const zeros = fieldsByNumber(sub.resolvedType).map(explicit).join('')
    yield ['explicit-defaults-inside', inside(zeros), { [sub.name]: explicitValue(sub.resolvedType) }, 'WIR-2: every field of an embedded message given with its default value']
  }
  if (type.oneofs?.kind === undefined) {
    const zeros = fieldsByNumber(type).map(explicit).join('')
    yield ['explicit-defaults', zeros, explicitValue(type), 'WIR-2: every field given with its default value']
  }
  yield ['nothing', '', {}, 'no field at all']
  yield * reversed(type, value)
}

// twice returns the value that two copies of the same fields mean.
function twice(type, value) {
  const result = { ...value }
  for (const f of fieldsByNumber(type)) {
    if (f.repeated) result[f.name] = [...value[f.name], ...value[f.name]]
  }
  return result
}

// explicitValue returns what explicit means where absence would mean something else.
function explicitValue(type) {
  const value = {}
  for (const f of fieldsByNumber(type)) {
    if (embedded(f)) value[f.name] = {}
    else if (f.type === 'bytes') value[f.name] = { hex: '' }
  }
  return value
}

function * reversed(type, value) {
  const fields = fieldsByNumber(type).filter((f) => value[f.name] !== undefined).reverse()
  if (fields.length < 2) return
  yield ['descending', fields.map((f) => encode(type, { [f.name]: value[f.name] })).join(''), value, 'fields in descending order']
}

// oddFailing yields [name, hex or {repeat}, error, note].
export function * oddFailing(schema, value) {
  const type = typeOf(schema)
  const base = encode(type, value)
  const first = fieldsByNumber(type).find((f) => value[f.name] !== undefined)
  const truncated = {
    'truncated-last-byte': [base.slice(0, -2), 'WIR-9: without its last byte'],
    'truncated-tag': [base + '80', 'WIR-9: ends inside a tag'],
    'truncated-after-tag': [base + tag(first.id, wireTypes(first)[0]), 'WIR-9: ends after the tag of a known field'],
    'truncated-unknown-varint': [base + tag(16, 0) + 'ff', 'WIR-9: ends inside an unknown varint'],
    'truncated-unknown-after-tag': [base + tag(16, 0), 'WIR-9: ends after the tag of an unknown varint'],
    'truncated-fixed64': [base + fixed64(16).slice(0, -2), 'WIR-9: ends inside a fixed64'],
    'truncated-fixed32': [base + fixed32(16).slice(0, -2), 'WIR-9: ends inside a fixed32'],
    'truncated-bytes': [base + tag(16, 2) + '0509', 'WIR-9: a length of 5, of which 1 is there'],
    'truncated-length': [base + tag(16, 2) + '80', 'WIR-9: ends inside a length'],
    'length-2^31': [base + tag(16, 2) + varint(2n ** 31n), 'WIR-9, WIR-13: a length far beyond the input'],
    'length-2^32+1': [base + tag(16, 2) + varint(2n ** 32n + 1n) + '00', 'WIR-9: a length is not cut to 32 bits'],
    'length-2^63': [base + tag(16, 2) + varint(2n ** 63n), 'WIR-9: a length that is negative when signed'],
    'length-2^64-1': [base + tag(16, 2) + varint(2n ** 64n - 1n), 'WIR-9: the greatest length'],
    'truncated-group': [base + tag(16, 3) + uint(1, 1), 'WIR-9: a group without its end']
  }
  const malformed = {
    'field-0': [base + uint(0, 1), 'WIR-10: field number 0'],
    'field-2^29': [base + uint(2 ** 29, 1), 'WIR-10: a field number that is too great'],
    'field-2^32+1': [base + uint(2 ** 32 + 1, 1), 'WIR-10: a tag is not cut to 32 bits'],
    'wire-type-6': [base + tag(16, 6), 'WIR-10: wire type 6'],
    'wire-type-7': [base + tag(first.id, 7) + '00', 'WIR-10: wire type 7 under a known number'],
    'end-group': [base + tag(16, 4), 'WIR-10: an end-group without its start'],
    'end-group-known': [base + tag(first.id, 4), 'WIR-10: the same under a known number'],
    'end-group-other': [base + tag(16, 3) + tag(17, 4), 'WIR-10: the end-group of another number'],
    'groups-101': [base + nestedGroups(16, 101), 'WIR-5: groups nested 101 deep']
  }
  const overlong = {
    'varint-11-bytes': [base + tag(16, 0) + '80'.repeat(10) + '00', 'WIR-8: a varint of 11 bytes'],
    'varint-65-bits': [base + tag(16, 0) + 'ff'.repeat(9) + '02', 'WIR-8: a varint with bit 64'],
    'tag-11-bytes': [base + '81'.repeat(10) + '00', 'WIR-8: a tag of 11 bytes'],
    'length-11-bytes': [base + tag(16, 2) + '80'.repeat(10) + '00', 'WIR-8: a length of 11 bytes']
  }
  for (const [error, cases] of Object.entries({ truncated, malformed, overlong })) {
    for (const [name, [bytesHex, note]] of Object.entries(cases)) yield [name, bytesHex, error, note]
  }
  yield ['oversized', oversized(1), 'oversized', 'WIR-12: 4 bytes more than 1 MiB, otherwise sound']
  yield * failingFields(type, value)
}

// Fields cut in two, so that the second part is a sound field of its own.
const reachingOut = [
  ['varint', tag(16, 0) + 'ff', uint(16, 1)],
  ['length', tag(16, 2) + varint(3), uint(16, 1)],
  ['fixed32', tag(16, 5), uint(16, 1, 2)],
  ['tag', '80', uint(16, 1)]
]

// failingFields breaks the fields that the value sets, one after the other, at
// every depth: wrap puts a field where the message expects it.
function * failingFields(type, value, wrap = (content) => content, path = '') {
  for (const f of fieldsByNumber(type).filter((field) => value[field.name] !== undefined)) {
    const name = path + f.name
    if (embedded(f)) {
      const inner = encode(f.resolvedType, value[f.name])
      yield [`${name}-cut`, wrap(bytes(f.id, inner.slice(0, -2))), 'truncated', 'WIR-9: an embedded message ends inside a field']
      yield [`${name}-field-0`, wrap(bytes(f.id, inner + uint(0, 0))), 'malformed', 'WIR-10: field number 0 in an embedded message']
      yield [`${name}-group-across`, wrap(bytes(f.id, inner + tag(16, 3)) + tag(16, 4)), 'truncated', 'WIR-9: a group does not end outside the message it begins in']
      for (const [kind, field, missing] of reachingOut) {
        yield [`${name}-${kind}-across`, wrap(bytes(f.id, inner + field) + missing), 'truncated', 'WIR-9: a field of an embedded message does not go on outside it']
      }
      yield * failingFields(f.resolvedType, value[f.name], (content) => wrap(bytes(f.id, content)), `${name}.`)
    } else if (f.repeated) {
      yield [`${name}-packed-cut`, wrap(bytes(f.id, '0180')), 'truncated', 'WIR-9: a packed list ends inside a number']
      yield [`${name}-packed-overlong`, wrap(bytes(f.id, 'ff'.repeat(10) + '01')), 'overlong', 'WIR-8: a number of 11 bytes in a packed list']
      yield [`${name}-packed-length`, wrap(tag(f.id, 2) + varint(2n ** 32n - 1n) + '01'), 'truncated', 'WIR-13: a packed list of 4 GiB']
    } else if (wireTypes(f)[0] === 0) {
      yield [`${name}-cut`, wrap(tag(f.id, 0) + 'ff'), 'truncated', 'WIR-9: ends inside the varint']
      yield [`${name}-overlong`, wrap(tag(f.id, 0) + 'ff'.repeat(9) + '7f'), 'overlong', 'WIR-8: more than 64 bits']
    } else {
      yield [`${name}-length`, wrap(tag(f.id, 2) + varint(2n ** 40n) + '61'), 'truncated', 'WIR-9: a length of 1 TiB']
      if (f.type === 'string') yield * badStrings(f, name, wrap)
    }
  }
}

function * badStrings(f, name, wrap) {
  const bad = {
    'lone-continuation': hex(0x80),
    'cut-character': hex(0x61, 0xc3),
    'overlong-form': hex(0xc0, 0x80),
    'surrogate': hex(0xed, 0xa0, 0x80),
    'beyond-unicode': hex(0xf4, 0x90, 0x80, 0x80),
    'byte-ff': hex(0xff)
  }
  for (const [kind, content] of Object.entries(bad)) {
    yield [`${name}-utf8-${kind}`, wrap(bytes(f.id, content)), 'utf8', 'WIR-11: a string that is not UTF-8']
  }
}

// oversized returns a message of unknown fields, 4 bytes each, in the compact
// form: this many fields more than fit into the greatest size.
export function oversized(more) {
  return { hex: uint(16, 128), times: MAX_SIZE / 4 + more }
}

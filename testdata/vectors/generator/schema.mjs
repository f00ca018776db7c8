// The schema, through protobufjs, and the canonical encoding on top of it.

import { createRequire } from 'node:module'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const require = createRequire(new URL('../../../conformance/originals/package.json', import.meta.url))
const protobuf = require('protobufjs')

export const encoderName = `protobufjs ${require('protobufjs/package.json').version}`

const root = new protobuf.Root()
const protoDir = fileURLToPath(new URL('../proto/', import.meta.url))
for (const file of readdirSync(protoDir).sort()) {
  root.loadSync(protoDir + file, { keepCase: true })
}
root.resolveAll()

// The top-level messages: those that travel by themselves.
export const schemas = [
  'Message',
  'signaling.Message',
  'channel.Message',
  'channelBuilder.Message',
  'dataChannelBuilder.Message',
  'fullMesh.Message',
  'fullMesh.ConnectionRequest',
  'userMessage.Message',
  'delivery.Message'
]

export const typeOf = (schema) => root.lookupType(schema)

// What the canonical encoding writes (WIR-14) beside the members of a oneof
// and the fields that are always written: these, only under a condition.
const conditional = {
  'Message.content': 'present',
  'signaling.Content.lastData': 'not default',
  'signaling.Content.data': 'present',
  'channelBuilder.Negotiation.passive': 'present',
  'channelBuilder.Info.id': 'not default',
  'channelBuilder.Info.wss': 'not default',
  'userMessage.Message.number': 'numbered',
  'userMessage.Message.session': 'numbered',
  'userMessage.Message.all': 'numbered'
}

const isOneofMember = (field) => field.partOf !== null && !field.partOf.name.startsWith('_')

// fieldsByNumber returns the fields of a type in ascending order.
export const fieldsByNumber = (type) => [...type.fieldsArray].sort((a, b) => a.id - b.id)

const isDefault = (value) => value === 0 || value === false || value === ''

const defaultOf = (field) => {
  if (field.resolvedType instanceof protobuf.Type) return {}
  return { bytes: { hex: '' }, string: '', bool: false, uint64: '0' }[field.type] ?? 0
}

// canonicalValue returns the value with exactly those fields that the canonical
// encoding writes. Two values mean the same when theirs are equal.
export function canonicalValue(type, value) {
  const known = new Set(type.fieldsArray.map((f) => f.name))
  for (const name of Object.keys(value)) {
    if (!known.has(name)) throw new Error(`${type.fullName} has no field ${name}`)
  }
  const result = {}
  for (const field of fieldsByNumber(type)) {
    const mode = conditional[`${type.fullName.slice(1)}.${field.name}`]
    let v = value[field.name]
    if (field.repeated) {
      if (v?.length) result[field.name] = v
      continue
    }
    if (mode === 'numbered') {
      if (BigInt(value.number ?? 0) === 0n) continue
    } else if (isOneofMember(field) || mode !== undefined) {
      if (v === undefined || (mode === 'not default' && isDefault(v))) continue
    }
    v ??= defaultOf(field)
    result[field.name] = field.resolvedType instanceof protobuf.Type ? canonicalValue(field.resolvedType, v) : v
  }
  return result
}

// encode returns the bytes that protobufjs writes for a value, in hex.
export function encode(type, value) {
  return Buffer.from(type.encode(toMessage(type, value)).finish()).toString('hex')
}

export const canonicalHex = (type, value) => encode(type, canonicalValue(type, value))

function toMessage(type, value) {
  const message = {}
  for (const [name, v] of Object.entries(value)) {
    const { resolvedType } = type.fields[name]
    if (resolvedType instanceof protobuf.Type) message[name] = toMessage(resolvedType, v)
    else message[name] = v.hex === undefined ? v : Buffer.from(v.hex, 'hex')
  }
  return type.create(message)
}

// decode returns the value that protobufjs reads from bytes; of the members of
// a oneof only the one that it takes for the last.
export const decode = (type, buffer) => fromMessage(type, type.decode(buffer))

function fromMessage(type, message) {
  const value = {}
  for (const field of fieldsByNumber(type)) {
    if (!Object.hasOwn(message, field.name)) continue
    if (isOneofMember(field) && message[field.partOf.name] !== field.name) continue
    const v = message[field.name]
    if (field.resolvedType instanceof protobuf.Type) value[field.name] = fromMessage(field.resolvedType, v)
    else if (field.resolvedType instanceof protobuf.Enum) value[field.name] = v >>> 0
    else if (field.type === 'uint64') value[field.name] = v.toString()
    else value[field.name] = field.type === 'bytes' ? { hex: Buffer.from(v).toString('hex') } : v
  }
  return value
}

// Writes the vectors; see README.md. With --check it writes nothing and exits
// with 1 when a file is not what it would write.

import { deepStrictEqual } from 'node:assert'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { addresses } from './generator/addresses.mjs'
import { chunks } from './generator/chunks.mjs'
import { handmade } from './generator/handmade.mjs'
import { oddFailing, oddGood } from './generator/odd.mjs'
import { peersox } from './generator/peersox.mjs'
import { canonicalHex, canonicalValue, decode, encode, encoderName, schemas, typeOf } from './generator/schema.mjs'
import { values } from './generator/values.mjs'

const here = (name) => new URL(name, import.meta.url)
const originals = JSON.parse(readFileSync(here('originals.json'), 'utf8')).vectors

// originalsOf takes the vectors of the original encoder, and makes sure that
// the schema means the same to ours.
function originalsOf(schema) {
  return originals.filter((v) => v.schema === schema).map(({ name, value, hex }) => {
    const ours = encode(typeOf(schema), value)
    if (ours !== hex) throw new Error(`${schema} ${name}: the original wrote ${hex}, the schema gives ${ours}`)
    return vector(schema, `original-${name}`, hex, value, { source: 'netflux 4.3.1' })
  })
}

function vector(schema, name, hex, value, { source, note, deviation }) {
  const type = typeOf(schema)
  const v = { schema, name, source }
  if (note) v.note = note
  if (typeof hex === 'string') v.hex = hex
  else Object.assign(v, hex)
  v.value = value
  const canonical = canonicalHex(type, value)
  if (canonical !== hex) v.canonical = canonical
  if (deviation) v.protobufjs = deviation
  secondOpinion(type, v)
  return v
}

// secondOpinion has protobufjs read the bytes: it must agree with the value, or
// differ when the vector says so.
function secondOpinion(type, v) {
  const input = v.repeat ? v.repeat.hex.repeat(v.repeat.times) : v.hex
  let disagreement
  try {
    const read = decode(type, Buffer.from(input, 'hex'))
    deepStrictEqual(canonicalValue(type, read), canonicalValue(type, v.value))
  } catch (err) {
    disagreement = err
  }
  if (disagreement && !v.protobufjs) {
    throw new Error(`${v.schema} ${v.name}: protobufjs disagrees`, { cause: disagreement })
  }
  if (!disagreement && v.protobufjs) {
    throw new Error(`${v.schema} ${v.name}: protobufjs agrees, against "${v.protobufjs}"`)
  }
}

function goodOf(schema) {
  const type = typeOf(schema)
  const good = originalsOf(schema)
  for (const [name, value] of Object.entries(values[schema])) {
    good.push(vector(schema, name, encode(type, value), value, { source: encoderName }))
  }
  for (const [name, hex, value, note, deviation] of [...oddGood(schema, values[schema].base), ...handmade[schema]]) {
    good.push(vector(schema, name, hex, value, { source: 'by hand', note, deviation }))
  }
  return good
}

function failingOf(schema) {
  return [...oddFailing(schema, values[schema].base)].map(([name, input, error, note]) => {
    const bytes = typeof input === 'string' ? { hex: input } : { repeat: input }
    return { schema, name, ...bytes, error, note }
  })
}

function wire() {
  const vectors = schemas.flatMap(goodOf)
  if (vectors.filter((v) => v.source.startsWith('netflux')).length !== originals.length) {
    throw new Error('a vector of originals.json has an unknown schema')
  }
  return { vectors, failing: schemas.flatMap(failingOf) }
}

function checkNames(list) {
  const seen = new Set()
  for (const { schema = '', name, note = '' } of list) {
    if (seen.has(`${schema} ${name}`)) throw new Error(`two vectors named ${schema} ${name}`)
    if (!/^[A-Za-z0-9^+-]/.test(name) || /undefined/.test(note)) throw new Error(`${schema} ${name}: bad name or note`)
    seen.add(`${schema} ${name}`)
  }
}

function render(lists) {
  Object.values(lists).forEach(checkNames)
  const lines = (list) => list.map((v) => '    ' + JSON.stringify(v)).join(',\n')
  const body = Object.entries(lists).map(([name, list]) => `  "${name}": [\n${lines(list)}\n  ]`)
  const note = '  "note": "Written by generate.mjs; README.md documents the format."'
  return `{\n${[note, ...body].join(',\n')}\n}\n`
}

let stale = 0
for (const [file, lists] of Object.entries({ 'wire.json': wire(), 'addresses.json': addresses, 'chunks.json': chunks, 'peersox.json': peersox })) {
  const text = render(lists)
  if (!process.argv.includes('--check')) {
    writeFileSync(here(file), text)
  } else if (!existsSync(here(file)) || readFileSync(here(file), 'utf8') !== text) {
    console.error(`${file} is not up to date: run node generate.mjs`)
    stale++
  }
}
process.exitCode = stale ? 1 : 0

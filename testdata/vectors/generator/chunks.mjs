// chunks.json: how user messages are cut into parts, and put together again.
// A frame is a list of pieces: bytes in hexadecimal, or [from, to], a range of
// the vector's content.

import { hex, tag, uint, varint } from './bytes.mjs'

const SIZE = 15000
const TEXT = 0
const BYTES = 1

// The bytes 0 to 250, again and again: no two chunks are alike.
const pattern = hex(...Array.from({ length: 251 }, (_, i) => i))
const letters = Buffer.from('abcdefghijklmnopqrstuvw').toString('hex')

const content = (type, length) => ({ hex: type === TEXT ? letters : pattern, length })

// tail returns the fields of the extension, which come after all others.
const tail = (ext, n) => (ext ? uint(77, ext.number + n) + uint(78, ext.session) + uint(79, ext.all ? 1 : 0) : '')

const head = (length, type) => uint(1, length) + uint(2, type)

const pieces = (...list) => list.filter((p) => (typeof p === 'string' ? p !== '' : p[0] < p[1]))

// full returns the frame of a message of one part.
const full = (type, length, ext) =>
  pieces(head(length, type) + tag(3, 2) + varint(length), [0, length], tail(ext, 0))

// chunk returns a frame with a part: o has what differs from a sound one.
function chunk(type, length, id, nb, o = {}) {
  const from = o.from ?? nb * SIZE
  const to = o.to ?? Math.max(from, Math.min(length, from + SIZE))
  const inner = uint(1, id) + uint(2, nb) + tag(4, 2) + varint(to - from)
  return pieces(head(length, type) + tag(4, 2) + varint(inner.length / 2 + to - from) + inner, [from, to], tail(o.ext, nb))
}

function frames(type, length, id, ext) {
  if (length <= SIZE) return [full(type, length, ext)]
  return Array.from({ length: Math.ceil(length / SIZE) }, (_, nb) => chunk(type, length, id, nb, { ext }))
}

function sentVector(name, type, length, id, note, ext) {
  const v = { name, note, type, content: content(type, length) }
  if (length > SIZE) v.id = id
  return { ...v, ...ext, frames: frames(type, length, id, ext) }
}

const sent = [
  sentVector('text-empty', TEXT, 0, 0, 'MSG-3: an empty text'),
  sentVector('bytes-empty', BYTES, 0, 0, 'MSG-3: no bytes'),
  sentVector('text-1', TEXT, 1, 0, 'MSG-3'),
  sentVector('bytes-127', BYTES, 127, 0, 'MSG-3: the greatest length in a varint of one byte'),
  sentVector('bytes-128', BYTES, 128, 0, 'MSG-3'),
  sentVector('text-14999', TEXT, SIZE - 1, 0, 'MSG-3'),
  sentVector('bytes-15000', BYTES, SIZE, 0, 'MSG-3: the greatest message in one part'),
  sentVector('bytes-15001', BYTES, SIZE + 1, 1, 'MSG-4: the smallest message in chunks'),
  sentVector('text-29999', TEXT, 2 * SIZE - 1, 2, 'MSG-4'),
  sentVector('bytes-30000', BYTES, 2 * SIZE, 300, 'MSG-4: a multiple: no empty chunk follows'),
  sentVector('bytes-30001', BYTES, 2 * SIZE + 1, 65535, 'MSG-4, MSG-5: the greatest id'),
  sentVector('text-100000', TEXT, 100000, 7, 'MSG-4: seven chunks'),
  sentVector('bytes-1935001', BYTES, 129 * SIZE + 1, 1, 'MSG-4: nb of two bytes'),
  sentVector('numbered-empty', TEXT, 0, 0, 'EXT-4: to a member that keeps the contract', { number: 1, session: 9, all: false }),
  sentVector('numbered-to-all', BYTES, 3, 0, 'EXT-4: to all', { number: 1, session: 4294967295, all: true }),
  sentVector('numbered-30001', BYTES, 2 * SIZE + 1, 1, 'EXT-4: each part has the next number', { number: 1, session: 9, all: false })
]

const step = (frame, delivers, from = 1) => (delivers ? { from, frame, delivers } : { from, frame })
const whole = (type, length) => ({ type, data: pieces([0, length]) })

function receivedVector(name, note, type, length, steps) {
  return { name, note, content: content(type, length), steps }
}

// inOrder takes the chunks of a message, by their nb; the last one completes it.
const inOrder = (type, length, id, order, from) =>
  order.map((nb, i) => step(chunk(type, length, id, nb), i === order.length - 1 && whole(type, length), from))

const N = 2 * SIZE + 1

const received = [
  receivedVector('full', 'MSG-7', TEXT, 5, [step(full(TEXT, 5), whole(TEXT, 5))]),
  receivedVector('full-empty', 'MSG-7: delivered like any other', TEXT, 0, [
    step(full(TEXT, 0), whole(TEXT, 0)), step(full(BYTES, 0), whole(BYTES, 0))]),
  receivedVector('full-lying-length', 'MSG-7: length has no meaning', BYTES, 3, [
    step(pieces(head(4294967295, BYTES) + tag(3, 2) + varint(3), [0, 3]), whole(BYTES, 3)),
    step(pieces(tag(3, 2) + varint(3), [0, 3]), whole(TEXT, 3))]),
  receivedVector('full-30000', 'MSG-7: longer than a sender may', BYTES, 2 * SIZE, [step(full(BYTES, 2 * SIZE), whole(BYTES, 2 * SIZE))]),
  receivedVector('in-order', 'MSG-8', BYTES, N, inOrder(BYTES, N, 1, [0, 1, 2])),
  receivedVector('backwards', 'MSG-8: any order', BYTES, N, inOrder(BYTES, N, 1, [2, 1, 0])),
  receivedVector('a-gap-first', 'MSG-8: any order', TEXT, N, inOrder(TEXT, N, 65535, [0, 2, 1])),
  receivedVector('multiple', 'MSG-8: the last chunk is not shorter', BYTES, 2 * SIZE, inOrder(BYTES, 2 * SIZE, 1, [1, 0])),
  receivedVector('one-chunk', 'MSG-8: a message of one chunk', TEXT, 5, inOrder(TEXT, 5, 1, [0])),
  receivedVector('one-whole-chunk', 'MSG-8: a message of one chunk', BYTES, SIZE, inOrder(BYTES, SIZE, 1, [0])),
  receivedVector('id-0', 'MSG-8: an id that a sender must not use', BYTES, SIZE + 1, inOrder(BYTES, SIZE + 1, 0, [0, 1])),
  receivedVector('id-again', 'MSG-8: an id that is used again', BYTES, N, [
    ...inOrder(BYTES, N, 1, [0, 1, 2]), ...inOrder(BYTES, N, 1, [0, 1, 2])]),
  receivedVector('incomplete', 'MSG-8: nothing is delivered', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 2))]),
  receivedVector('same-chunk-again', 'MSG-10: a chunk that is there', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 2)), step(chunk(BYTES, N, 1, 2)),
    step(chunk(BYTES, N, 1, 1), whole(BYTES, N))]),
  receivedVector('same-chunk-with-other-bytes', 'MSG-10: the first one counts', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 0, { from: 1, to: SIZE + 1 })), step(chunk(BYTES, N, 1, 1)),
    step(chunk(BYTES, N, 1, 2), whole(BYTES, N))]),
  receivedVector('overlapping', 'MSG-10: a chunk with more bytes than its place', BYTES, N, [
    step(chunk(BYTES, N, 1, 0, { to: SIZE + 1 })), step(chunk(BYTES, N, 1, 1)), step(chunk(BYTES, N, 1, 2)),
    step(chunk(BYTES, N, 1, 0), whole(BYTES, N))]),
  receivedVector('too-short', 'MSG-10: a chunk with fewer bytes than its place', BYTES, N, [
    step(chunk(BYTES, N, 1, 0, { to: SIZE - 1 })), step(chunk(BYTES, N, 1, 1)), step(chunk(BYTES, N, 1, 2)),
    step(chunk(BYTES, N, 1, 0), whole(BYTES, N))]),
  receivedVector('last-too-long', 'MSG-10: the last chunk reaches beyond the length', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 1)), step(chunk(BYTES, N, 1, 2, { from: N - 2, to: N })),
    step(chunk(BYTES, N, 1, 2), whole(BYTES, N))]),
  receivedVector('last-too-short', 'MSG-10: the last chunk lacks bytes', BYTES, SIZE + 9, [
    step(chunk(BYTES, SIZE + 9, 1, 0)), step(chunk(BYTES, SIZE + 9, 1, 1, { to: SIZE + 8 })),
    step(chunk(BYTES, SIZE + 9, 1, 1), whole(BYTES, SIZE + 9))]),
  receivedVector('beyond-the-length', 'MSG-10: nb beyond the length', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 3, { from: 0, to: SIZE })), step(chunk(BYTES, N, 1, 3, { from: 0, to: 1 })),
    step(chunk(BYTES, N, 1, 1)), step(chunk(BYTES, N, 1, 2), whole(BYTES, N))]),
  receivedVector('far-beyond-the-length', 'MSG-10: nb × 15,000 does not fit into 32 bits', BYTES, N, [
    step(chunk(BYTES, N, 1, 4294967295, { from: 0, to: SIZE })), step(chunk(BYTES, 15, 1, 286331153 * 15, { from: 0, to: 15 }))]),
  receivedVector('empty-chunk', 'MSG-10: a chunk without bytes', BYTES, N, [
    step(chunk(BYTES, N, 1, 0, { from: 0, to: 0 })), step(chunk(BYTES, 2 * SIZE, 2, 2, { from: 0, to: 0 }))]),
  receivedVector('of-nothing', 'MSG-10: a message of 0 bytes in a chunk', BYTES, 0, [step(chunk(BYTES, 0, 1, 0))]),
  receivedVector('another-length', 'MSG-9: a new message begins', BYTES, N, [
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 1)), step(chunk(BYTES, N - 1, 1, 0)), step(chunk(BYTES, N, 1, 2)),
    step(chunk(BYTES, N, 1, 0)), step(chunk(BYTES, N, 1, 1), whole(BYTES, N))]),
  receivedVector('another-type', 'MSG-9: a new message begins', TEXT, SIZE + 1, [
    step(chunk(BYTES, SIZE + 1, 1, 0)), step(chunk(TEXT, SIZE + 1, 1, 1)), step(chunk(TEXT, SIZE + 1, 1, 0), whole(TEXT, SIZE + 1))]),
  receivedVector('mixed', 'MSG-6, MSG-8: two messages of one sender', BYTES, SIZE + 2, [
    step(chunk(BYTES, SIZE + 1, 1, 0)), step(chunk(BYTES, SIZE + 2, 2, 1)),
    step(chunk(BYTES, SIZE + 1, 1, 1), whole(BYTES, SIZE + 1)), step(chunk(BYTES, SIZE + 2, 2, 0), whole(BYTES, SIZE + 2))]),
  receivedVector('two-senders', 'MSG-8: the same id of two senders', BYTES, SIZE + 1, [
    step(chunk(BYTES, SIZE + 1, 1, 0)), step(chunk(BYTES, SIZE + 1, 1, 1), undefined, 2),
    step(chunk(BYTES, SIZE + 1, 1, 0), whole(BYTES, SIZE + 1), 2), step(chunk(BYTES, SIZE + 1, 1, 1), whole(BYTES, SIZE + 1))]),
  receivedVector('full-in-between', 'MSG-6: a whole message between two chunks', TEXT, SIZE + 1, [
    step(chunk(TEXT, SIZE + 1, 1, 0)), step(full(TEXT, 9), whole(TEXT, 9)), step(chunk(TEXT, SIZE + 1, 1, 1), whole(TEXT, SIZE + 1))]),
  receivedVector('4-GiB', 'MSG-11: nothing is allocated for a length', BYTES, SIZE, [step(chunk(BYTES, 4294967295, 1, 0))]),
  receivedVector('unknown-type', 'MSG-13', BYTES, 3, [step(full(2, 3)), step(full(4294967295, 3)), step(chunk(2, 3, 1, 0))]),
  receivedVector('neither', 'MSG-13: neither full nor chunk', BYTES, 3, [step([head(3, BYTES)]), step([])]),
  receivedVector('undecodable', 'CHN-3', BYTES, 3, [step(pieces(head(3, BYTES) + tag(3, 2) + varint(4), [0, 3]))]),
  receivedVector('unasked-numbers', 'EXT-5: the fields of the extension from a sender that has not said hello', BYTES, 3, [
    step(full(BYTES, 3, { number: 7, session: 9 }), whole(BYTES, 3)), step(full(BYTES, 3, { number: 7, session: 9 }), whole(BYTES, 3))])
]

// 15,001 bytes; the last character lies across the two chunks.
received.push({
  name: 'cut-character',
  note: 'MSG-2: a text is judged when it is whole',
  content: { hex: '78e282ac79c3a9', length: SIZE + 1 },
  steps: inOrder(TEXT, SIZE + 1, 1, [0, 1])
})
received.push({
  name: 'not-utf8',
  note: 'MSG-2: delivered with U+FFFD, or not at all; bytes as they are',
  content: { hex: '61ff62', length: 3 },
  steps: [step(full(TEXT, 3), { type: TEXT, data: ['61efbfbd62'], optional: true }), step(full(BYTES, 3), whole(BYTES, 3))]
})

export const chunks = { sent, received }

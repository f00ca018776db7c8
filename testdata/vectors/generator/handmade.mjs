// Odd forms that belong to one message: [name, hex, value, note, deviation of
// protobufjs].

import { bytes, packed, tag, text, uint, varint } from './bytes.mjs'
import { oversized } from './odd.mjs'

const A = 3000000000
const B = 3000000001
const HIGH = 2n ** 40n // no bit among the low 32

const lowBits = 'takes a bool for true by its low 32 bits'
const firstPlace = 'a member of a oneof that comes again keeps its first place'

// lists yields the forms of a list of uint32 (WIR-4); place puts its bytes into
// the message, value its numbers.
function * lists(number, place, value) {
  const one = (v, width) => uint(number, v, width)
  yield ['list-unpacked', place(one(A) + one(5)), value([A, 5]), 'WIR-4: an unpacked list']
  yield ['list-mixed', place(one(1) + packed(number, [2, 3]) + one(4) + packed(number, [A])), value([1, 2, 3, 4, A]), 'WIR-4: a list in packed and unpacked pieces, in the order of the wire']
  yield ['list-packed-twice', place(packed(number, [1, 2]) + packed(number, [3])), value([1, 2, 3]), 'WIR-4: two packed pieces']
  yield ['list-packed-empty', place(packed(number, [])), value([]), 'WIR-4: a packed list without a number']
  yield ['list-unpacked-zero', place(one(0)), value([0]), 'WIR-4: zero is a number of a list like any other']
  yield ['list-wide', place(bytes(number, varint(7, 2) + varint(2n ** 32n + 5n) + varint(-1))), value([7, 5, 4294967295]), 'WIR-8: non-minimal, 33 and 64 bits in a packed list']
  yield ['list-unpacked-wide', place(one(7, 10) + one(2n ** 32n + 5n)), value([7, 5]), 'WIR-8: the same unpacked']
}

const content = (body) => bytes(2, body)
const connect = (body) => bytes(3, body)

const signaling = [
  ['heartbeat-2', uint(1, 2), { heartbeat: true }, 'WIR-8: a bool of 2'],
  ['heartbeat-high-bits', uint(1, HIGH), { heartbeat: true }, 'WIR-8: a bool of 2^40', lowBits],
  ['heartbeat-bit-63', uint(1, 2n ** 63n), { heartbeat: true }, 'WIR-8: a bool of 2^63', lowBits],
  ['heartbeat-zero-wide', uint(1, 0, 10), { heartbeat: false }, 'WIR-8: zero in 10 bytes'],
  ['last-member-wins', uint(1, 1) + connect(uint(1, 5)) + uint(4, 0), { connected: false }, 'WIR-3: several members of a oneof'],
  ['last-member-wins-reversed', uint(4, 1) + content('') + uint(1, 0), { heartbeat: false }, 'WIR-3: also in descending order'],
  ['first-member-again', content(uint(1, 5)) + uint(4, 1) + content(uint(2, 6)), { content: { recipientId: 6 } }, 'WIR-3: the first member again, and nothing left of its first value', firstPlace],
  ['content-replaced', content(uint(1, 5) + bytes(4, '01')) + content(uint(2, 6)), { content: { recipientId: 6 } }, 'WIR-7: replaced, not merged'],
  ['connect-replaced', connect(packed(2, [1])) + connect(packed(2, [2])), { connect: { members: [2] } }, 'WIR-7: the lists of two embedded messages do not add up'],
  ['wrong-type-after-member', uint(4, 1) + bytes(1, '01'), { connected: true }, 'WIR-6: a wrong wire type does not set a member', 'reads a known field number without looking at its wire type'],
  ['content-empty', content(''), { content: {} }, 'a member of a oneof without a byte is set'],
  ['content-explicit-false', content(uint(1, 5) + uint(2, 0) + uint(3, 0)), { content: { senderId: 5 } }, 'WIR-2: lastData false'],
  ['content-last-high-bits', content(uint(3, HIGH)), { content: { lastData: true } }, 'WIR-8: a bool of 2^40', lowBits],
  ['content-last-true-then-false', content(uint(3, 1) + uint(3, 0)), { content: {} }, 'WIR-7: the last one wins, false too'],
  ['content-data-twice', content(bytes(4, '0102') + bytes(4, '')), { content: { data: { hex: '' } } }, 'WIR-7: the last one wins, empty too'],
  ['connect-id-33-bits', connect(uint(1, 2n ** 32n + 5n)), { connect: { id: 5 } }, 'WIR-8: the low 32 bits'],
  ...lists(2, connect, (members) => ({ connect: { members } }))
]

const message = [
  ['id-33-bits', uint(1, 2n ** 32n + 5n), { senderId: 5 }, 'WIR-8: the low 32 bits'],
  ['id-minus-1', uint(1, -1), { senderId: 4294967295 }, 'WIR-8: the low 32 bits of 64 ones'],
  ['id-high-bits', uint(2, HIGH), {}, 'WIR-8: low 32 bits that are zero', 'reads 10 bytes for any varint of more than 5'],
  ['id-7-bytes', uint(2, 9, 7), { recipientId: 9 }, 'WIR-8: 7 bytes', 'reads 10 bytes for any varint of more than 5'],
  ['content-alone', bytes(4, '01'), { content: { hex: '01' } }, 'the other fields have their default values'],
  ['content-twice', bytes(4, '0102') + bytes(4, '03'), { content: { hex: '03' } }, 'WIR-7: the last one wins'],
  ['content-then-empty', bytes(4, '0102') + bytes(4, ''), { content: { hex: '' } }, 'WIR-7: the last one wins, empty too'],
  ['id-then-zero', uint(1, 5) + uint(1, 0), {}, 'WIR-7: the last one wins, zero too'],
  ['wide-length', tag(4, 2) + varint(2, 3) + '0102', { content: { hex: '0102' } }, 'WIR-8: a length in 3 bytes'],
  ['greatest-size', { repeat: oversized(0) }, {}, 'WIR-12: exactly 1 MiB, of unknown fields']
]

const ping = (body) => bytes(1, body)
const channel = [
  ['pong-33-bits', uint(2, 2n ** 32n + 5n), { initPong: 5 }, 'WIR-8: the low 32 bits'],
  ['ping-then-pong', ping(uint(2, 5)) + uint(2, 0), { initPong: 0 }, 'WIR-3: the last member wins, zero too'],
  ['pong-then-ping', uint(2, 5) + ping(''), { initPing: {} }, 'WIR-3: the last member wins, empty too'],
  ['ping-again', ping(uint(2, 5)) + uint(2, 6) + ping(uint(3, 7)), { initPing: { senderId: 7 } }, 'WIR-3: the first member again, and nothing left of its first value', firstPlace],
  ['ping-replaced', ping(text(5, 'a') + packed(4, [1])) + ping(packed(4, [2])), { initPing: { members: [2] } }, 'WIR-7: replaced, not merged'],
  ['key-twice', ping(text(5, 'a') + text(5, '')), { initPing: {} }, 'WIR-7: the last one wins, empty too'],
  ...lists(4, ping, (members) => ({ initPing: { members } }))
]

const negotiation = (body) => bytes(1, body)
const channelBuilder = [
  ['negotiation-empty', negotiation(''), { negotiation: { initiator: {} } }, 'without initiator: as with an empty one'],
  ['negotiation-passive-alone', negotiation(bytes(2, uint(1, 5))), { negotiation: { initiator: {}, passive: { id: 5 } } }, 'without initiator'],
  ['negotiation-passive-id-0', negotiation(bytes(1, uint(1, 0)) + bytes(2, uint(1, 0) + text(2, ''))), { negotiation: { initiator: {}, passive: {} } }, 'WIR-2: explicit zero id and empty wss, as the original writes them; passive is present'],
  ['initiator-replaced', negotiation(bytes(1, uint(1, 5) + text(2, 'a')) + bytes(1, uint(4, 1))), { negotiation: { initiator: { wsSupported: true } } }, 'WIR-7: replaced, not merged'],
  ['passive-replaced', negotiation(bytes(2, uint(1, 5)) + bytes(2, uint(7, 1)) + bytes(1, '')), { negotiation: { initiator: {}, passive: { dcTried: true } } }, 'WIR-7: replaced, not merged'],
  ['flags-high-bits', negotiation(bytes(1, [4, 5, 6, 7].map((n) => uint(n, HIGH)).join(''))), { negotiation: { initiator: { wsSupported: true, wsTried: true, dcSupported: true, dcTried: true } } }, 'WIR-8: bools of 2^40', lowBits],
  ['response-high-bits', uint(3, HIGH), { connectionResponse: true }, 'WIR-8: a bool of 2^40', lowBits],
  ['request-then-response', bytes(2, '01') + uint(3, 0), { connectionResponse: false }, 'WIR-3: the last member wins, false too'],
  ['response-then-request', uint(3, 1) + bytes(2, ''), { connectionRequest: { hex: '' } }, 'WIR-3: the last member wins, empty too'],
  ['request-again', bytes(2, '01') + uint(3, 1) + bytes(2, '02'), { connectionRequest: { hex: '02' } }, 'WIR-3: the first member again', firstPlace]
]

const candidate = (body) => bytes(3, body)
const dataChannelBuilder = [
  ['offer-then-answer', text(1, 'o') + text(2, ''), { answer: '' }, 'WIR-3: the last member wins, empty too'],
  ['answer-then-offer', text(2, 'a') + text(1, 'o'), { offer: 'o' }, 'WIR-3: also in descending order'],
  ['offer-twice', text(1, 'o') + text(1, 'p'), { offer: 'p' }, 'WIR-7: the last one wins'],
  ['candidate-absent-fields', candidate(''), { candidate: {} }, 'an empty candidate is set'],
  ['candidate-replaced', candidate(text(1, 'c') + uint(3, 5)) + candidate(text(2, 'm')), { candidate: { sdpMid: 'm' } }, 'WIR-7: replaced, not merged'],
  ['candidate-then-final', candidate(text(1, 'c')) + uint(16, 1), { candidate: { candidate: 'c' } }, 'WIR-5: an unknown field is not a member'],
  ['final-with-unknown', uint(16, 1) + bytes(4, '00'), {}, 'WIR-5: unknown fields alone: no member is set'],
  ['candidate-again', candidate(uint(3, 5)) + text(1, 'o') + candidate(text(1, 'c')), { candidate: { candidate: 'c' } }, 'WIR-3: the first member again, and nothing left of its first value', firstPlace],
  ['line-index-33-bits', candidate(uint(3, 2n ** 32n + 5n)), { candidate: { sdpMLineIndex: 5 } }, 'WIR-8: the low 32 bits']
]

const members = (body) => bytes(1, body)
const fullMesh = [
  ['members-then-adjacent', members(packed(1, [1])) + bytes(3, ''), { adjacentMembers: {} }, 'WIR-3: the last member wins, empty too'],
  ['heartbeat-then-members', uint(4, 1) + members(''), { members: {} }, 'WIR-3: also in descending order'],
  ['members-replaced', members(packed(1, [1])) + members(packed(1, [2])), { members: { ids: [2] } }, 'WIR-7: replaced, not merged'],
  ['members-again', members(packed(1, [1])) + uint(4, 1) + members(packed(1, [2])), { members: { ids: [2] } }, 'WIR-3: the first member again', firstPlace],
  ['heartbeat-high-bits', uint(4, HIGH), { heartbeat: true }, 'WIR-8: a bool of 2^40', lowBits],
  ['field-2', bytes(2, packed(1, [1])), {}, 'WIR-5: 2 is not a member'],
  ...lists(1, members, (ids) => ({ members: { ids } }))
]

const connectionRequest = [
  ['id-33-bits', uint(1, 2n ** 32n + 5n), { id: 5 }, 'WIR-8: the low 32 bits'],
  ['id-twice', uint(1, A) + uint(1, B), { id: B }, 'WIR-7: the last one wins'],
  ...lists(2, (list) => list, (adjacentIds) => ({ adjacentIds }))
]

const chunk = (body) => bytes(4, body)
const userMessage = [
  ['full-then-chunk', bytes(3, '01') + chunk(''), { chunk: {} }, 'WIR-3: the last member wins, empty too'],
  ['chunk-then-full', chunk(uint(1, 5)) + bytes(3, ''), { full: { hex: '' } }, 'WIR-3: also in descending order'],
  ['chunk-replaced', chunk(uint(1, 5) + bytes(4, '01')) + chunk(uint(2, 6)), { chunk: { nb: 6 } }, 'WIR-7: replaced, not merged'],
  ['full-again', bytes(3, '01') + chunk('') + bytes(3, '02'), { full: { hex: '02' } }, 'WIR-3: the first member again', firstPlace],
  ['length-after-full', bytes(3, '01') + uint(1, 5) + uint(2, 1), { length: 5, type: 1, full: { hex: '01' } }, 'fields in another order'],
  ['type-minus-1', uint(2, -1), { type: 4294967295 }, 'WIR-8: an enumeration keeps the low 32 bits'],
  ['chunk-field-3', chunk(bytes(3, '01') + uint(1, 5)), { chunk: { id: 5 } }, 'WIR-5: a chunk has no field 3'],
  ['numbered-first', uint(77, 5) + uint(78, 6) + uint(79, 0) + bytes(3, '61') + uint(1, 1), { length: 1, full: { hex: '61' }, number: '5', session: 6 }, 'EXT-4: the fields of the extension before the others'],
  ['number-alone', uint(77, 5) + bytes(3, ''), { full: { hex: '' }, number: '5' }, 'WIR-14: session and all have their default values'],
  ['session-without-number', uint(78, 6) + uint(79, 1) + bytes(3, '61'), { full: { hex: '61' } }, 'WIR-14: without a number the two others mean nothing'],
  ['number-0', uint(77, 0) + uint(78, 6) + uint(79, 1), {}, 'WIR-14: the number 0 is none'],
  ['number-then-0', uint(77, 5) + uint(77, 0) + uint(78, 6), {}, 'WIR-7: the last number counts, 0 too'],
  ['number-33-bits', uint(77, 2n ** 32n + 5n) + uint(78, 2n ** 32n + 6n) + uint(79, HIGH), { number: '4294967301', session: 6, all: true }, 'WIR-8: 64 bits of a uint64, 32 of a uint32', lowBits],
  ['chunk-id-33-bits', chunk(uint(1, 2n ** 32n + 5n) + bytes(4, '')), { chunk: { id: 5 } }, 'WIR-8: the low 32 bits']
]

const hello = (body) => bytes(1, body)
const ack = (body) => bytes(2, body)
const delivery = [
  ['hello-then-bye', hello(uint(1, 1)) + uint(4, 1), { bye: true }, 'WIR-3: the last member wins'],
  ['bye-then-hello', uint(4, 1) + hello(''), { hello: {} }, 'WIR-3: the last member wins, empty too'],
  ['ack-replaced', ack(uint(1, 5)) + ack(uint(2, 6)), { ack: { number: '6' } }, 'WIR-7: replaced, not merged'],
  ['ack-again', ack(uint(1, 5)) + uint(3, 1) + ack(uint(2, 6)), { ack: { number: '6' } }, 'WIR-3: the first member again, and nothing left of its first value', firstPlace],
  ['ack-number-wide', ack(uint(2, 9, 10)), { ack: { number: '9' } }, 'WIR-8: 10 bytes'],
  ['ack-session-33-bits', ack(uint(1, 2n ** 32n + 5n)), { ack: { session: 5 } }, 'WIR-8: the low 32 bits of a uint32, and all 64 of a uint64'],
  ['probe-high-bits', uint(3, HIGH), { probe: true }, 'WIR-8: a bool of 2^40', lowBits],
  ['bye-2', uint(4, 2), { bye: true }, 'WIR-8: a bool of 2']
]

export const handmade = {
  'Message': message,
  'signaling.Message': signaling,
  'channel.Message': channel,
  'channelBuilder.Message': channelBuilder,
  'dataChannelBuilder.Message': dataChannelBuilder,
  'fullMesh.Message': fullMesh,
  'fullMesh.ConnectionRequest': connectionRequest,
  'userMessage.Message': userMessage,
  'delivery.Message': delivery
}

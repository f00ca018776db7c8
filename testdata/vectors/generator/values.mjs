// Ordinary values, which protobufjs encodes. The first of each message is also
// what odd.mjs derives its odd and failing forms from: it has a value other
// than the default in every field it sets.

import { encode, typeOf } from './schema.mjs'

const b = (hex) => ({ hex })
const inside = (schema, value) => b(encode(typeOf(schema), value))
const A = 3000000000
const B = 3000000001
const MAX = 4294967295
const GREATEST = '18446744073709551615' // of 64 bits; a uint64 is a text in JSON
const fill = (length) => b(Array.from({ length }, (_, i) => ((i * 31 + 7) & 255).toString(16).padStart(2, '0')).join(''))

const peerInfo = { id: A, wss: 'wss://[2001:db8::1]:443/é', wcId: B, wsSupported: true, wsTried: true, dcSupported: true, dcTried: true }

const envelope = (serviceId, schema, value) => ({ senderId: A, recipientId: B, serviceId, content: inside(schema, value) })
const throughSignaling = (serviceId, schema, value) =>
  inside('Message', { senderId: 0, recipientId: 0, serviceId, content: inside(schema, value) })
const can = { wcId: B, wsSupported: true, wsTried: false, dcSupported: true, dcTried: false }

export const values = {
  'Message': {
    'base': { senderId: A, recipientId: B, serviceId: 743, content: b('0a0b0c') },
    'zero': { senderId: 0, recipientId: 0, serviceId: 0 },
    'empty-content': { senderId: A, recipientId: B, serviceId: 7431, content: b('') },
    'greatest-ids': { senderId: MAX, recipientId: MAX, serviceId: MAX, content: b('00') },
    'content-127': { senderId: A, recipientId: 0, serviceId: 743, content: fill(127) },
    'content-128': { senderId: A, recipientId: 0, serviceId: 743, content: fill(128) },
    'heartbeat': { senderId: A, recipientId: B, serviceId: 0 },
    'user-message-to-all': { ...envelope(743, 'userMessage.Message', { length: 2, type: 0, full: b('c3a9') }), recipientId: 0 },
    'connection-request': envelope(74, 'channelBuilder.Message', { connectionRequest: inside('fullMesh.ConnectionRequest', { id: A, adjacentIds: [B] }) }),
    'connection-response': envelope(74, 'channelBuilder.Message', { connectionResponse: true }),
    'negotiation': envelope(74, 'channelBuilder.Message', { negotiation: { initiator: { id: B, ...can }, passive: { id: A, ...can } } }),
    'offer': envelope(7431, 'dataChannelBuilder.Message', { offer: 'v=0\r\n' }),
    'end-of-candidates': envelope(7431, 'dataChannelBuilder.Message', {}),
    'members': envelope(74315, 'fullMesh.Message', { members: { ids: [A, B] } }),
    'hello': envelope(7700, 'delivery.Message', { hello: { version: 1, session: 5, echo: 0, window: 4194304 } })
  },
  'signaling.Message': {
    'base': { content: { senderId: A, recipientId: B, lastData: true, data: b('0a0b0c') } },
    'heartbeat-false': { heartbeat: false },
    'joiner-asks': { content: { senderId: A, recipientId: 0, data: throughSignaling(74, 'channelBuilder.Message', { connectionRequest: b('') }) } },
    'member-answers': { content: { senderId: 0, recipientId: 5, data: throughSignaling(74, 'channelBuilder.Message', { connectionResponse: true }) } },
    'content-without-data': { content: { senderId: A, recipientId: 0 } },
    'content-empty-data': { content: { senderId: A, recipientId: 0, data: b('') } },
    'content-zero': { content: { senderId: 0, recipientId: 0 } },
    'content-last-without-data': { content: { senderId: 0, recipientId: 5, lastData: true } },
    'content-126': { content: { senderId: 0, recipientId: 0, data: fill(120) } },
    'content-128': { content: { senderId: 0, recipientId: 0, data: fill(122) } },
    'content-16384': { content: { senderId: 0, recipientId: 0, data: fill(16376) } },
    'connect-zero': { connect: { id: 0 } },
    'connect-three': { connect: { id: A, members: [1, 128, MAX] } },
    'connect-thirty': { connect: { id: A, members: Array.from({ length: 30 }, (_, i) => A + i) } }
  },
  'channel.Message': {
    'base': { initPing: { topology: 1, wcId: A, senderId: B, members: [B, 5], key: 'clé' } },
    'initPing-zero': { initPing: { topology: 0, wcId: 0, senderId: 0, key: '' } },
    'initPing-many': { initPing: { topology: 0, wcId: A, senderId: B, members: Array.from({ length: 40 }, (_, i) => B + i), key: 'k'.repeat(512) } },
    'initPong-zero': { initPong: 0 },
    'initPong-greatest': { initPong: MAX },
    'members-zero': { initPing: { topology: 0, wcId: A, senderId: B, members: [0, 0], key: '🔑' } }
  },
  'channelBuilder.Message': {
    'base': { negotiation: { initiator: peerInfo, passive: { ...peerInfo, id: B, wss: 'ws://h:1' } } },
    'negotiation-zero': { negotiation: { initiator: { wcId: 0, wsSupported: false, wsTried: false, dcSupported: false, dcTried: false } } },
    'negotiation-empty-passive': { negotiation: { initiator: peerInfo, passive: { wcId: 0, wsSupported: false, wsTried: false, dcSupported: false, dcTried: false } } },
    'negotiation-first': { negotiation: { initiator: { wcId: A, wsSupported: true, wsTried: false, dcSupported: true, dcTried: false } } },
    'request-of-member': { connectionRequest: b('0880bcc1960b120581bcc1960b') },
    'request-empty': { connectionRequest: b('') },
    'response-false': { connectionResponse: false }
  },
  'dataChannelBuilder.Message': {
    'base': { candidate: { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 1 } },
    'offer-empty': { offer: '' },
    'answer-empty': { answer: '' },
    'offer-long': { offer: 'a=x\r\n'.repeat(60) },
    'candidate-empty': { candidate: { candidate: '', sdpMid: '', sdpMLineIndex: 0 } },
    'offer-utf8': { offer: '\u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}' },
    'answer-bom': { answer: '\ufeffv=0' }
  },
  'fullMesh.Message': {
    'base': { adjacentMembers: { ids: [A, 5] } },
    'members-thirty': { members: { ids: Array.from({ length: 30 }, (_, i) => A + i) } },
    'members-zero': { members: { ids: [0] } },
    'adjacent-empty': { adjacentMembers: {} },
    'heartbeat-false': { heartbeat: false }
  },
  'fullMesh.ConnectionRequest': {
    'base': { id: A, adjacentIds: [B, 5] },
    'zero': { id: 0 },
    'list-of-zero': { id: A, adjacentIds: [0] },
    'list-127': { id: 1, adjacentIds: Array.from({ length: 127 }, (_, i) => i) },
    'list-128': { id: 1, adjacentIds: Array.from({ length: 128 }, (_, i) => i & 127) }
  },
  'userMessage.Message': {
    'base': { length: 30007, type: 1, chunk: { id: 65535, nb: 2, content: b('0a0b0c') } },
    'none': { length: 0, type: 0 },
    'full-empty': { length: 0, type: 1, full: b('') },
    'full-128': { length: 128, type: 1, full: fill(128) },
    'chunk-zero': { length: 0, type: 0, chunk: { id: 0, nb: 0, content: b('') } },
    'chunk-15000': { length: 40000, type: 1, chunk: { id: 1, nb: 0, content: fill(15000) } },
    'lying-length': { length: MAX, type: 0, full: b('61') },
    'unknown-type': { length: 1, type: 77, full: b('61') },
    'string-not-utf8': { length: 2, type: 0, full: b('c3') },
    'numbered-full': { length: 1, type: 0, full: b('61'), number: '1', session: MAX, all: true },
    'numbered-chunk': { length: 30001, type: 1, chunk: { id: 7, nb: 2, content: b('ff') }, number: GREATEST, session: 1, all: false }
  },
  'delivery.Message': {
    'base': { ack: { session: A, number: '4294967301' } },
    'hello': { hello: { version: 1, session: A, echo: B, window: 4194304 } },
    'hello-first': { hello: { version: 1, session: 1, echo: 0, window: MAX } },
    'hello-zero': { hello: { version: 0, session: 0, echo: 0, window: 0 } },
    'ack-zero': { ack: { session: 0, number: '0' } },
    'ack-greatest': { ack: { session: MAX, number: GREATEST } },
    'probe-false': { probe: false },
    'probe-true': { probe: true },
    'bye': { bye: true }
  }
}

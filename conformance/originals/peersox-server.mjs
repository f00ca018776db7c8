// The original server, unmodified: PeerSox on express, with redis-mock for its
// store. It prints `listening on URL`, logs to standard error, and ends with
// SIGTERM.
//
//   node peersox-server.mjs [-port P] [-ice JSON] [-origin ORIGIN]... [-stats]
//
// With -stats it answers each line on standard input with a line of JSON: its processor
// time in nanoseconds, its connections, and its memory in bytes, for which the line
// `clean` has it collect the garbage before if node has --expose-gc. It ends with its input.
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import express from 'express'
import redis from 'redis-mock'

const { default: PeerSoxServer } = createRequire(import.meta.url)('peersox')

const { values: flags } = parseArgs({
  args: process.argv.slice(2).map((arg) => arg.replace(/^-(?=[a-z])/, '--')),
  options: {
    port: { type: 'string', default: '0' },
    ice: { type: 'string', default: '[]' },
    origin: { type: 'string', multiple: true, default: [] },
    stats: { type: 'boolean', default: false },
  },
})

// Standard output carries one line only.
console.log = console.error

const app = express()
const server = createServer(app)
new PeerSoxServer(redis.createClient(), {
  app,
  server,
  allowOrigins: flags.origin,
  config: () => ({ iceServers: JSON.parse(flags.ice) }),
})

if (flags.stats) {
  let upgraded = 0
  server.on('upgrade', (_, socket) => {
    upgraded++
    socket.once('close', () => upgraded--)
  })
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    if (line === 'clean') {
      globalThis.gc?.()
    }
    const { user, system } = process.cpuUsage()
    const { heapUsed, external, rss } = process.memoryUsage()
    const stats = { CPU: (user + system) * 1000, Conns: upgraded, Heap: heapUsed + external, RSS: rss }
    process.stdout.write(JSON.stringify(stats) + '\n')
  })
  lines.on('close', () => process.exit(0))
}

process.once('SIGTERM', () => process.exit(0))
server.listen(Number(flags.port), '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`)
})

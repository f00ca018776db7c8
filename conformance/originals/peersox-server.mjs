// The original server, unmodified: PeerSox on express, with redis-mock for its
// store. It prints `listening on URL`, logs to standard error, and ends with
// SIGTERM.
//
//   node peersox-server.mjs [-port P] [-ice JSON] [-origin ORIGIN]...
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
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

process.once('SIGTERM', () => process.exit(0))
server.listen(Number(flags.port), '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`)
})

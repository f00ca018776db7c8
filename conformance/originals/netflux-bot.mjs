// A driver for the original's bot: the unmodified Node bundle of Netflux, steered by JSON lines on standard input and
// answering by JSON lines on standard output.
//
//   node netflux-bot.mjs -listen HOST:PORT [-url URL] [-signaling URL] [-echo]
//
// -ice and -loopback are taken and without effect: in Node the original has no data channels.
import { createServer } from 'node:http'
import { createRequire, Module } from 'node:module'
import { createInterface } from 'node:readline'
import util from 'node:util'
import protobuf from 'protobufjs'
import { WebSocket, WebSocketServer } from 'ws'

// What the bundle uses of the package `uws`, which is no more, on top of `ws`, whose binary messages are to be
// ArrayBuffers. When `verifyClient` says no, `ws` answers 401 by itself.
class Socket extends WebSocket {
  static Server = class extends WebSocketServer {
    constructor(options) {
      super({ ...options, WebSocket: Socket })
      this.on('connection', (socket, request) => (socket.upgradeReq = request))
    }
  }

  constructor(address, protocols, options) {
    super(address, protocols, { ...options, perMessageDeflate: false })
    this.binaryType = 'arraybuffer'
    this.on('error', () => {}) // the end of the connection follows
    this.on('message', peek) // before any listener of the original
  }
}

// The original does not tell its user whether a message was for it alone. So the recipient is read here: 0 stands for
// all.
let recipient
const envelope = new protobuf.Type('Message').add(new protobuf.Field('recipientId', 2, 'uint32'))
function peek(message) {
  try {
    recipient = envelope.decode(new Uint8Array(message)).recipientId
  } catch {
    recipient = undefined
  }
}

// The packages that the bundle asks for and npm does not install; Node itself has what `text-encoding` brought.
const standIns = { uws: Socket, 'text-encoding': util }
const load = Module._load
Module._load = (name, ...rest) => standIns[name] ?? load(name, ...rest)
const { Bot } = createRequire(import.meta.url)('netflux')

const { values: flags } = util.parseArgs({
  args: process.argv.slice(2).map((arg) => arg.replace(/^-+(?=[a-z])/, '--')),
  options: {
    listen: { type: 'string' },
    url: { type: 'string', default: '' },
    signaling: { type: 'string', default: '' },
    echo: { type: 'boolean', default: false },
    ice: { type: 'string' },
    loopback: { type: 'boolean' },
  },
})

const states = ['JOINING', 'JOINED', 'LEFT']
const signalingStates = ['CONNECTING', 'OPEN', 'CHECKING', 'CLOSED', 'CHECKED']

const emit = (event) => process.stdout.write(JSON.stringify(event) + '\n')
console.log = console.info = console.debug = console.error // standard output is for events

const data = ({ text, base64 }) => (base64 === undefined ? text : new Uint8Array(Buffer.from(base64, 'base64')))

const server = createServer()
const bot = new Bot({
  url: flags.url,
  server,
  webGroupOptions: { signalingServer: flags.signaling, rtcConfiguration: { iceServers: [] } },
})
bot.onError = (err) => emit({ event: 'error', message: err.message })

const groups = new Map() // by id, also once they have been left
bot.onWebGroup = (wg) => {
  let known = wg.id
  const id = () => {
    known = wg.id || known // it is 0 once the group is left, and another one may come with initPing
    groups.set(known, wg)
    return known
  }
  const tell = (event, more) => emit({ event, group: id(), ...more })
  wg.onStateChange = (s) => tell('state', { state: states[s] })
  wg.onSignalingStateChange = (s) => tell('signaling', { state: signalingStates[s] })
  wg.onMemberJoin = (member) => tell('join', { member })
  wg.onMemberLeave = (member) => tell('leave', { member })
  wg.onMessage = (from, content) => {
    const text = typeof content === 'string'
    tell('message', text ? { from, text: content } : { from, base64: Buffer.from(content).toString('base64') })
    if (flags.echo && recipient !== 0) {
      wg.sendTo(from, content)
    } else if (flags.echo && text && !content.startsWith('echo:')) {
      wg.send(`echo:${content}`)
    }
  }
  tell('state', { state: states[wg.state] }) // it was entered before there was anybody to tell
}

const commands = {
  send: (wg, cmd) => wg.send(data(cmd)),
  sendTo: (wg, cmd) => wg.sendTo(cmd.to, data(cmd)),
  status: (wg) => ({
    event: 'status',
    state: states[wg.state],
    signaling: signalingStates[wg.signalingState],
    id: wg.myId,
    key: wg.key,
    members: wg.members,
    neighbors: wg.neighbors,
  }),
  leave: (wg) => wg.leave(),
}

const [host, port] = flags.listen.split(/:(?=\d+$)/)
server.listen(port, host, () => emit({ event: 'ready', url: bot.url }))

for await (const line of createInterface({ input: process.stdin })) {
  let cmd
  let answer
  try {
    cmd = JSON.parse(line)
    const wg = groups.get(cmd.group)
    if (!Object.hasOwn(commands, cmd.cmd)) {
      throw new Error(`unknown command ${cmd.cmd}`)
    }
    if (!wg) {
      throw new Error(`not in the group ${cmd.group}`)
    }
    answer = commands[cmd.cmd](wg, cmd) || { event: 'ok' }
    answer.group = cmd.group
  } catch (err) {
    answer = { event: 'error', message: err.message }
  }
  emit(cmd?.n === undefined ? answer : { ...answer, n: cmd.n })
}
groups.forEach((wg) => wg.leave())
server.close()
setTimeout(() => process.exit(0), 2000).unref() // for sockets whose other end does not answer the close frame

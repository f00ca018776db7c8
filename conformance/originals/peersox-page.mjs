// A driver for the original: one unmodified PeerSox client in Chromium or Firefox, steered
// by JSON lines on standard input and answering by JSON lines on standard output.
//
//   node peersox-page.mjs [BROWSER-ENDPOINT|chromium|firefox]
//
// Without an endpoint, which browser.mjs prints, it starts a browser of its own.
// Beside the commands of every peersox driver it knows `store`, `restore` and
// `delete` (the pairing's cookie), `break`, which ends the data channel, and `reload`,
// after which the page is as before `init`. `init` takes further:
//
//   socket       the URL of the WebSocket service, when it is not URL/ws
//   page         the origin that the page is loaded from, when it is not URL
//   autoUpgrade  false: no WebRTC but by the command `upgrade`
//   peerTimeout  seconds without a PING after which the peer counts as gone
import { createRequire } from 'node:module'
import { Page } from './page.mjs'

const bundle = createRequire(import.meta.url).resolve('peersox').replace(/[^/]+$/, 'peersox.client.js')

// What runs in the page: the commands, on top of the original's public API.
function install() {
  const { emit } = window
  const Client = window.PeerSoxClient.default || window.PeerSoxClient
  const toBytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  const toBase64 = (buffer) => {
    const bytes = new Uint8Array(buffer)
    let s = ''
    for (let i = 0; i < bytes.length; i += 32768) {
      s += String.fromCharCode(...bytes.subarray(i, i + 32768))
    }
    return btoa(s)
  }
  let client
  let initiator = false
  const events = ['serverReady', 'connectionEstablished', 'connectionClosed', 'peerTimeout', 'peerRtcClosed']
  const pairingOf = (p) => (p ? { event: 'pairing', code: p.code, hash: p.hash } : { event: 'pairing' })
  const sealed = (wanted) => {
    if (wanted) {
      throw Object.assign(new Error('the original knows no sealed pairings'), { unsupported: true })
    }
  }
  const commands = {
    async init({ url, socket, autoUpgrade = true, peerTimeout = 30, seal }) {
      sealed(seal)
      client = new Client(url, { autoUpgrade, peerTimeout, socketServerUrl: socket })
      for (const event of events) {
        client.on(event, () => emit({ event }))
      }
      client.on('peerConnected', (data) => {
        initiator = data.isInitiator
        emit({ event: 'peerConnected', initiator })
      })
      // The public events do not tell when the data channel is open.
      client._rtc.on('connection.established', () => emit({ event: 'upgraded' }))
      client.onString = (text) => emit({ event: 'message', text })
      client.onBinary = (data) => emit({ event: 'message', base64: toBase64(data) })
      await client.init()
    },
    createPairing: async () => pairingOf(await client.createPairing()),
    joinPairing: async ({ code }) => pairingOf(await client.joinPairing(code)),
    validate: async ({ code, hash }) => ({ event: 'valid', valid: await client.validate({ code, hash }) }),
    async connect({ code, hash, secret }) {
      sealed(secret)
      await client.connect({ code, hash })
    },
    send: async ({ text, base64 }) => client.send(base64 !== undefined ? toBytes(base64).buffer : text),
    break: async () => client._rtc.close(),
    upgrade: async () => client.upgrade(initiator),
    status: async () => ({
      event: 'status',
      connected: client.isConnected(),
      webrtc: client._rtc.isConnected(),
      websocket: client._socket.isConnected(),
      initiator,
    }),
    store: async ({ code, hash }) => client.storePairing({ code, hash }),
    restore: async () => pairingOf(await client.restorePairing()),
    delete: async () => client.deletePairing(),
    close: async () => client.close(),
  }
  window.command = async (cmd) => {
    if (!Object.hasOwn(commands, cmd.cmd)) {
      throw new Error(`unknown command ${cmd.cmd}`)
    }
    if (!client && cmd.cmd !== 'init') {
      throw new Error('not initialised')
    }
    try {
      return (await commands[cmd.cmd](cmd)) || { event: 'ok' }
    } catch (err) {
      // The original throws the Response, or the socket's error event.
      throw err instanceof Error ? err : new Error(err.status ? `status ${err.status}` : 'connection failed')
    }
  }
}

const page = await Page.open(process.argv[2])

async function execute(cmd) {
  if (cmd.cmd === 'reload') {
    await page.reload()
    return { event: 'ok' }
  }
  if (cmd.cmd === 'init') {
    // The page has the origin of the REST server: a client of another origin gets no
    // token from the original, which does not allow its content-type. Any answer of
    // that server serves as the page.
    await page.goto(new URL('/api/config', cmd.page || cmd.url).href)
    await page.install(bundle, install)
  }
  page.send(cmd)
}

await page.serve(execute, { cmd: 'close' })

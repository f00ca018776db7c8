// A driver for the original: one unmodified Netflux page in Chromium or Firefox, steered by
// JSON lines on standard input and answering by JSON lines on standard output.
//
//   node netflux-page.mjs [BROWSER-ENDPOINT|chromium|firefox]
//
// Without an endpoint, which browser.mjs prints, it starts a browser of its own.
import { createRequire } from 'node:module'
import { Page } from './page.mjs'

const bundle = createRequire(import.meta.url).resolve('netflux').replace(/[^/]+$/, 'netflux.browser.es5.umd.js')

// What runs in the page before the original: a network that can be cut. A page names itself in its session descriptions,
// and between two of which one blocks the other's name no data channel lives or comes to be.
function network() {
  const proto = RTCPeerConnection.prototype
  const local = Object.getOwnPropertyDescriptor(proto, 'localDescription').get
  const { setRemoteDescription, addIceCandidate } = proto
  const remotes = new Map() // of connections: the name of the other end
  let name = '-'
  let blocked = []
  const cut = (pc) => blocked.includes(remotes.get(pc))
  Object.defineProperty(proto, 'localDescription', {
    configurable: true,
    get() {
      const d = local.call(this)
      return d && { type: d.type, sdp: d.sdp.replace(/^s=.*$/m, `s=${name}`) }
    },
  })
  proto.setRemoteDescription = function (d) {
    if (!remotes.has(this)) {
      remotes.set(this, /^s=(.*?)\r?$/m.exec(d.sdp)?.[1]) // what is no SDP names nobody
    }
    return setRemoteDescription.call(this, cut(this) ? { type: d.type, sdp: d.sdp.replace(/^a=candidate.*\r?\n/gm, '') } : d)
  }
  proto.addIceCandidate = async function (c) {
    return cut(this) ? undefined : addIceCandidate.call(this, c)
  }
  window.network = (self, others) => {
    name = self
    blocked = others
    for (const pc of remotes.keys()) {
      if (cut(pc)) {
        remotes.delete(pc)
        pc.close()
      }
    }
  }
}

// What runs in the page: the commands, on top of the original's public API.
function install() {
  const { emit } = window
  const states = ['JOINING', 'JOINED', 'LEFT']
  const signalingStates = ['CONNECTING', 'OPEN', 'CHECKING', 'CLOSED', 'CHECKED']
  const toBytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  const toBase64 = (bytes) => {
    let s = ''
    for (let i = 0; i < bytes.length; i += 32768) {
      s += String.fromCharCode(...bytes.subarray(i, i + 32768))
    }
    return btoa(s)
  }
  const payload = (cmd) => (cmd.base64 !== undefined ? toBytes(cmd.base64) : cmd.text)
  let group
  let waiting = [] // for a state: {state, resolve}
  const reach = (state) =>
    new Promise((resolve) => {
      if (states[group.state] === state) {
        resolve()
      } else {
        waiting.push({ state, resolve })
      }
    })
  const commands = {
    async join({ signaling, key, secret, ice, relayOnly, autoRejoin = true }) {
      if (secret) {
        throw Object.assign(new Error('the original knows no sealed groups'), { unsupported: true })
      }
      group = new window.netflux.WebGroup({
        signalingServer: signaling,
        rtcConfiguration: { iceServers: ice || [], iceTransportPolicy: relayOnly ? 'relay' : 'all' },
        autoRejoin,
      })
      group.onStateChange = (s) => {
        emit({ event: 'state', state: states[s] })
        waiting = waiting.filter((w) => (w.state === states[s] ? w.resolve() : true))
      }
      group.onSignalingStateChange = (s) => emit({ event: 'signaling', state: signalingStates[s] })
      group.onMemberJoin = (id) => emit({ event: 'join', member: id })
      group.onMemberLeave = (id) => emit({ event: 'leave', member: id })
      group.onMessage = (id, data) =>
        emit(
          typeof data === 'string'
            ? { event: 'message', from: id, text: data }
            : { event: 'message', from: id, base64: toBase64(data) }
        )
      group.join(key)
      await reach('JOINED')
    },
    send: async (cmd) => group.send(payload(cmd)),
    sendTo: async (cmd) => group.sendTo(cmd.to, payload(cmd)),
    invite: async ({ url }) => group.invite(url),
    status: async () => ({
      event: 'status',
      state: states[group.state],
      signaling: signalingStates[group.signalingState],
      id: group.myId,
      group: group.id,
      key: group.key,
      members: group.members,
      neighbors: group.neighbors,
    }),
    async leave() {
      group.leave()
      await reach('LEFT')
    },
  }
  window.command = async (cmd) => {
    if (cmd.cmd === 'network') {
      window.network(cmd.name, cmd.blocked) // for tests of this repository alone
      return { event: 'ok' }
    }
    if (!Object.hasOwn(commands, cmd.cmd)) {
      throw new Error(`unknown command ${cmd.cmd}`)
    }
    if (!group && cmd.cmd !== 'join') {
      throw new Error('not joined')
    }
    return (await commands[cmd.cmd](cmd)) || { event: 'ok' }
  }
}

const page = await Page.open(process.argv[2])
await page.install(network, bundle, install)
await page.serve((cmd) => page.send(cmd), { cmd: 'leave' })

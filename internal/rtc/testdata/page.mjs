// RTCPeerConnections in a page of Chromium. Standard input has commands, one JSON
// object a line, and standard output what came of them; both name a connection by
// its id. Ends with its standard input.
import { createInterface } from 'node:readline'
import { launch } from '../../../conformance/originals/browser.mjs'

const { browser, close } = await launch()
const page = await browser.newPage()
await page.goto('about:blank')
await page.exposeFunction('report', (line) => console.log(line))
await page.evaluate(() => {
  const peers = new Map()
  const say = (id, what) => window.report(JSON.stringify({ id, ...what }))
  const pattern = (n) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) % 251)
  const text = (n) => 'x'.repeat(n)

  function watch(id, peer, channel) {
    peer.channel = channel
    channel.binaryType = 'arraybuffer'
    // Once: under load Chromium was seen to say it twice of a channel that the other end opened.
    channel.addEventListener('open', () => say(id, { event: 'open', label: channel.label, max: peer.pc.sctp.maxMessageSize }), { once: true })
    channel.onclose = () => say(id, { event: 'close' })
    channel.onmessage = ({ data }) => {
      const isText = typeof data === 'string'
      const bytes = isText ? undefined : new Uint8Array(data)
      const size = isText ? data.length : bytes.length
      const want = isText ? text(size) : pattern(size)
      const whole = isText ? data === want : bytes.every((byte, i) => byte === want[i])
      say(id, { event: 'message', kind: isText ? 'text' : 'binary', size, whole })
    }
  }

  async function describe(id, { pc }, description) {
    await pc.setLocalDescription(description)
    say(id, { event: 'signal', signal: { type: description.type, sdp: description.sdp } })
  }

  window.command = async ({ id, op, ...args }) => {
    if (op === 'new') {
      const peer = { pc: new RTCPeerConnection() }
      peers.set(id, peer)
      peer.pc.onicecandidate = ({ candidate }) => say(id, { event: 'signal', signal: candidate ? candidate.toJSON() : { end: true } })
      peer.pc.ondatachannel = ({ channel }) => watch(id, peer, channel)
      if (args.label !== undefined) {
        watch(id, peer, peer.pc.createDataChannel(args.label))
        await describe(id, peer, await peer.pc.createOffer())
      }
      return
    }
    const peer = peers.get(id)
    switch (op) {
      case 'signal':
        if (!args.signal.type) return peer.pc.addIceCandidate(args.signal)
        await peer.pc.setRemoteDescription(args.signal)
        if (args.signal.type === 'offer') await describe(id, peer, await peer.pc.createAnswer())
        return
      case 'send':
        return peer.channel.send(args.kind === 'text' ? text(args.size) : pattern(args.size))
      case 'close':
        return args.what === 'channel' ? peer.channel.close() : peer.pc.close()
    }
  }
})
console.log(JSON.stringify({ event: 'ready' }))
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  page.evaluate((c) => window.command(c), command)
    .catch((error) => console.log(JSON.stringify({ id: command.id, event: 'error', error: String(error) })))
}
await close()

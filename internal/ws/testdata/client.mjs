// Connects to the URL given, echoes every message until the server closes, then prints what it saw.
import { createRequire } from "node:module"
const require = createRequire(new URL("../../../conformance/originals/package.json", import.meta.url))
const { WebSocket } = require("ws")

const ws = new WebSocket(process.argv[2], ["b", "a"])
const seen = { kinds: [], pings: 0 }
ws.on("open", () => (seen.subprotocol = ws.protocol))
ws.on("ping", () => seen.pings++)
ws.on("message", (data, binary) => {
  seen.kinds.push(binary ? "binary" : "text")
  const text = data.toString()
  if (text === "close") ws.close(4001, "wie gewünscht")
  else if (text === "break") ws._socket.write(Buffer.from([0xc2, 0x80, 0, 0, 0, 0]))
  else if (text === "die") ws.terminate()
  else if (text === "fragments") {
    ws.send("one ", { fin: false })
    ws.ping("between")
    ws.send("message", { fin: true })
  } else ws.send(data, { binary })
})
ws.on("pong", (data) => (seen.pong = data.toString()))
ws.on("error", () => {}) // the close event says enough
ws.on("close", (code, reason) => console.log(JSON.stringify({ ...seen, code, reason: reason.toString() })))

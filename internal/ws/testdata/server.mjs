// Prints the port it listens on, serves one connection like client.mjs and prints what it saw.
import { createRequire } from "node:module"
const require = createRequire(new URL("../../../conformance/originals/package.json", import.meta.url))
const { WebSocketServer } = require("ws")

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: (offered) => (offered.has("b") ? "b" : false) })
server.on("listening", () => console.log(server.address().port))
server.on("connection", (ws, req) => {
  const seen = { kinds: [], origin: req.headers.origin }
  ws.on("message", (data, binary) => {
    seen.kinds.push(binary ? "binary" : "text")
    const text = data.toString()
    if (text === "close") ws.close(4001, "wie gewünscht")
    else if (text === "break") ws._socket.write(Buffer.from([0xc2, 0x00]))
    else if (text === "die") ws.terminate()
    else if (text === "fragments") {
      ws.send("one ", { fin: false })
      ws.ping("between")
      ws.send("message", { fin: true })
    } else ws.send(data, { binary })
  })
  ws.on("pong", (data) => (seen.pong = data.toString()))
  ws.on("error", () => {}) // the close event says enough
  ws.on("close", (code, reason) => {
    console.log(JSON.stringify({ ...seen, code, reason: reason.toString() }))
    server.close()
  })
})

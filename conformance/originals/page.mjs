// One page of a browser, for a driver. browser.mjs opens it; commands and events then go over a
// WebSocket between the page and the driver, in the same way in every browser.
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'
import { serve } from './browser.mjs'

// What runs in the page: `window.emit` tells the driver of an event, and each command goes to
// `window.command`, whose result, `ok` or `error` is its answer.
function speak(url) {
  const socket = new WebSocket(url)
  window.emit = (event) => socket.send(JSON.stringify(event))
  socket.onmessage = async ({ data }) => {
    const cmd = JSON.parse(data)
    let answer
    try {
      answer = (await window.command(cmd)) || { event: 'ok' }
    } catch (err) {
      answer = { event: 'error', message: err.message, unsupported: err.unsupported }
    }
    window.emit(cmd.n === undefined ? answer : { ...answer, n: cmd.n })
  }
  return new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = () => reject(new Error('no WebSocket to the driver'))
  })
}

const emit = (event) => process.stdout.write(JSON.stringify(event) + '\n')

export class Page {
  #own // the browser, if it is this page's alone
  #conn // to the browser
  #asked = new Map() // by number: what waits for an operation
  #server // of the WebSocket
  #socket // to the page
  #atEnd // called with the answer to the last command

  // open opens a page of the browser with this endpoint, or of one of its own: chromium, firefox.
  static async open(endpoint = 'chromium') {
    const page = new Page()
    if (!endpoint.includes('/')) {
      page.#own = await serve(endpoint)
      endpoint = page.#own.endpoint
    }
    page.#conn = connect(endpoint)
    page.#conn.on('close', () => page.#asked.forEach(({ reject }) => reject(new Error('the browser has closed the page'))))
    createInterface({ input: page.#conn }).on('line', (line) => page.#told(JSON.parse(line)))
    const path = `/${randomUUID()}`
    page.#server = new WebSocketServer({ host: '127.0.0.1', port: 0, path, perMessageDeflate: false })
    page.#server.on('connection', (socket) => page.#speaks(socket))
    await new Promise((resolve, reject) => page.#server.once('listening', resolve).once('error', reject))
    return page
  }

  #told({ n, error, log }) {
    if (log !== undefined) {
      process.stderr.write(`page: ${log}\n`)
      return
    }
    const { resolve, reject } = this.#asked.get(n)
    this.#asked.delete(n)
    error === undefined ? resolve() : reject(new Error(error))
  }

  #speaks(socket) {
    this.#socket = socket
    socket.on('message', (data) => {
      const line = data.toString()
      if (this.#atEnd && JSON.parse(line).n === 'end') {
        this.#atEnd()
      } else {
        process.stdout.write(line + '\n')
      }
    })
    socket.on('close', () => {
      if (this.#socket === socket) {
        this.#socket = undefined
        this.#atEnd?.()
      }
    })
    socket.on('error', (err) => process.stderr.write(`page: ${err.message}\n`))
  }

  #numbers = 0
  #ask(op, args) {
    const n = ++this.#numbers
    return new Promise((resolve, reject) => {
      this.#asked.set(n, { resolve, reject })
      this.#conn.write(JSON.stringify({ n, op, ...args }) + '\n')
    })
  }

  goto(url) {
    return this.#ask('goto', { url })
  }

  // reload loads the page anew, without the scripts.
  reload() {
    return this.#ask('reload')
  }

  // install has the page run functions and files, by their paths, in this order, and take
  // commands from then on.
  async install(...scripts) {
    const url = `ws://127.0.0.1:${this.#server.address().port}${this.#server.options.path}`
    await this.#ask('run', { source: `(${speak})(${JSON.stringify(url)})` })
    for (const script of scripts) {
      await (typeof script === 'string' ? this.#ask('script', { path: script }) : this.#ask('run', { source: `(${script})()` }))
    }
  }

  // installed reports whether the page takes commands.
  get installed() {
    return this.#socket !== undefined
  }

  // send sends a command, which the page answers on standard output.
  send(cmd) {
    if (!this.#socket) {
      throw new Error('not initialised')
    }
    this.#socket.send(JSON.stringify(cmd))
  }

  // serve has execute carry out the commands on standard input until that ends. What it returns
  // is the answer, if it returns something; it may throw. At the end goes the command last.
  async serve(execute, last) {
    emit({ event: 'ready' })
    for await (const line of createInterface({ input: process.stdin })) {
      let cmd
      try {
        cmd = Object(JSON.parse(line))
      } catch (err) {
        emit({ event: 'error', message: `malformed line: ${err.message}` })
        continue
      }
      const answer = (event) => event && emit(cmd.n === undefined ? event : { ...event, n: cmd.n })
      Promise.resolve()
        .then(() => execute(cmd))
        .then(answer, (err) => answer({ event: 'error', message: err.message }))
    }
    if (this.#socket) {
      const ended = new Promise((resolve) => (this.#atEnd = resolve))
      this.send({ ...last, n: 'end' })
      await ended
    }
    await this.#close()
  }

  async #close() {
    await new Promise((resolve) => this.#conn.once('close', resolve).end())
    await this.#own?.close()
    process.exit(0) // whatever is left of the WebSocket
  }
}

// A headless Chromium that reaches nothing but this machine. The endpoint for
// further pages is printed as `browser ENDPOINT`; it ends with its standard input.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import puppeteer from 'puppeteer-core'

const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export async function launch() {
  const executablePath = candidates.find((path) => path && existsSync(path))
  if (!executablePath) {
    throw new Error('no Chromium: install Debian\'s package chromium, or name one in CHROMIUM')
  }
  const userDataDir = await mkdtemp(join(tmpdir(), 'meshpair-chromium-'))
  const browser = await puppeteer.launch({
    executablePath,
    userDataDir,
    headless: true,
    protocolTimeout: 120_000,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-sync',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-domain-reliability',
      '--disable-default-apps',
      '--no-pings',
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
      // Members on one machine: loopback candidates, with readable addresses.
      '--allow-loopback-in-peer-connection',
      '--disable-features=WebRtcHideLocalIpsWithMdns,OptimizationHints,MediaRouter,Translate',
      // Several pages at once, of which none may fall asleep.
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
      // In a process of its own the network service loses so many packets of a page that sends a few
      // MiB at once, on two cores, that its heartbeats come too late.
      '--enable-features=NetworkServiceInProcess2,NetworkServiceInProcess',
    ],
  })
  return {
    browser,
    async close() {
      await browser.close()
      await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { browser, close } = await launch()
  console.log(`browser ${browser.wsEndpoint()}`)
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.once('end', resolve).once('error', resolve))
  await close()
}

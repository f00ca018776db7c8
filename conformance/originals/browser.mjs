// A headless browser that reaches nothing but this machine, and pages in it, each in a window
// and with a store of its own.
//
//   node browser.mjs [chromium|firefox]
//
// It prints `browser ENDPOINT VERSION` and ends with its standard input. ENDPOINT is a Unix
// socket. Each connection to it is a page, which is closed when the connection ends; page.mjs
// has the other end. Firefox takes one WebDriver session at a time, so one process speaks with
// the browser for all pages.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import puppeteer from 'puppeteer-core'

const kinds = {
  chromium: {
    paths: [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'],
    missing: 'no Chromium: install Debian\'s package chromium, or name one in CHROMIUM',
    options: {
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
    },
  },
  firefox: {
    paths: [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'],
    missing: 'no Firefox: install Debian\'s package firefox-esr, or name one in FIREFOX',
    options: {
      browser: 'firefox',
      networkEnabled: false, // no events of requests: nobody asks for them
      extraPrefsFirefox: {
        // Members on one machine: loopback candidates alone, with readable addresses.
        'media.peerconnection.ice.loopback': true,
        'media.peerconnection.ice.force_interface': 'lo',
        'media.peerconnection.ice.obfuscate_host_addresses': false,
        // What is not on this machine goes to a proxy that is not there, without a look-up before.
        'network.proxy.type': 1,
        'network.proxy.http': '127.0.0.1',
        'network.proxy.http_port': 9,
        'network.proxy.ssl': '127.0.0.1',
        'network.proxy.ssl_port': 9,
        'network.proxy.socks': '127.0.0.1',
        'network.proxy.socks_port': 9,
        'network.proxy.socks_remote_dns': true,
        'network.proxy.no_proxies_on': '127.0.0.1, localhost',
        'network.proxy.failover_direct': false,
        'network.proxy.allow_bypass': false, // system requests would go around it
        'network.trr.mode': 5,
        // And nothing asks for it.
        'app.normandy.enabled': false,
        'app.shield.optoutstudies.enabled': false,
        'app.update.auto': false,
        'app.update.background.enabled': false,
        'browser.contentblocking.category': 'custom',
        'browser.discovery.enabled': false,
        'browser.ml.enable': false,
        'browser.newtabpage.activity-stream.asrouter.providers.message-groups': '',
        'browser.region.network.url': '',
        'browser.region.update.enabled': false,
        'browser.safebrowsing.provider.google4.updateURL': '',
        'browser.safebrowsing.provider.mozilla.updateURL': '',
        'browser.safebrowsing.update.enabled': false,
        'browser.topsites.contile.enabled': false,
        'datareporting.usage.uploadEnabled': false,
        'dom.push.connection.enabled': false,
        'extensions.blocklist.enabled': false,
        'extensions.systemAddon.update.enabled': false,
        'geo.provider.network.url': '',
        'media.gmp-manager.url': '',
        'media.gmp-provider.enabled': false,
        'messaging-system.rsexperimentloader.enabled': false,
        'network.captive-portal-service.enabled': false,
        'network.connectivity-service.enabled': false,
        'network.dns.disablePrefetch': true,
        'network.predictor.enabled': false,
        'network.prefetch-next': false,
        'security.OCSP.enabled': 0,
        'security.remote_settings.crlite_filters.enabled': false,
        'security.remote_settings.intermediates.enabled': false,
        'services.settings.poll_interval': 2147483,
        'signon.management.page.breach-alerts.enabled': false,
        'toolkit.telemetry.archive.enabled': false,
        'toolkit.telemetry.enabled': false,
        'toolkit.telemetry.server': '',
        'toolkit.telemetry.unified': false,
        // Several pages at once, each in a process of its own, of which none may fall asleep.
        'dom.ipc.processCount': 16,
        'dom.ipc.processPriorityManager.enabled': false,
        'dom.min_background_timeout_value': 4,
        'dom.timeout.enable_budget_timer_throttling': false,
        'dom.timeout.throttling_delay': 2147483,
        'browser.tabs.unloadOnLowMemory': false,
      },
    },
  },
}

// launch starts a browser with an empty profile, whose folder is dir.
export async function launch(kind = 'chromium') {
  const { paths, missing, options } = kinds[kind]
  const executablePath = paths.find((path) => path && existsSync(path))
  if (!executablePath) {
    throw new Error(missing)
  }
  const dir = await mkdtemp(join(tmpdir(), `meshpair-${kind}-`))
  const browser = await puppeteer.launch({ ...options, executablePath, userDataDir: dir, headless: true, protocolTimeout: 120_000 })
  return {
    browser,
    dir,
    async close() {
      await browser.close()
      await rm(dir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

// serve starts a browser and a server of pages in it.
export async function serve(kind) {
  const { browser, dir, close } = await launch(kind)
  const server = createServer({ allowHalfOpen: true }, (conn) => host(browser, conn).catch((err) => conn.destroy(err)))
  const endpoint = join(dir, 'pages')
  await new Promise((resolve, reject) => server.once('error', reject).listen(endpoint, resolve))
  return {
    endpoint,
    version: (await browser.version()).replace(/^(Headless)?(\w+)\/(\d+).*$/, '$2/$3'),
    async close() {
      server.close()
      await close()
    },
  }
}

// What a page can be asked for.
const operations = {
  goto: (page, { url }) => page.goto(url),
  reload: (page) => page.reload(),
  script: (page, { path }) => page.addScriptTag({ path }),
  run: (page, { source }) => page.evaluate(source),
}

// host has one page for a connection, which asks for operations, one after the other, by lines
// of JSON.
async function host(browser, conn) {
  conn.on('error', () => {}) // its end follows
  const tell = (line) => conn.writable && conn.write(JSON.stringify(line) + '\n')
  const context = await browser.createBrowserContext()
  try {
    const page = await context.newPage({ type: 'window' }) // which is visible: the original leaves when hidden
    page.on('console', (m) => tell({ log: m.text() }))
    page.on('error', (e) => tell({ log: `crashed: ${e.message}` }))
    page.on('pageerror', (e) => tell({ log: `error: ${e.message}` }))
    for await (const line of createInterface({ input: conn })) {
      const { n, op, ...args } = JSON.parse(line)
      await operations[op](page, args).then(
        () => tell({ n }),
        (err) => tell({ n, error: err.message })
      )
    }
  } finally {
    await context.close().catch(() => {})
    conn.end()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { endpoint, version, close } = await serve(process.argv[2])
  console.log(`browser ${endpoint} ${version}`)
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.once('end', resolve).once('error', resolve))
  await close()
}

// Opens chat.html in two windows, lets them meet through the signaling server
// whose URL is the argument, and has each say something to the other.
import { launch } from './browser.mjs'

const url = new URL('chat.html', import.meta.url)
url.searchParams.set('signaling', process.argv[2])
const { browser, close } = await launch()
try {
  const pages = []
  for (const name of ['first', 'second']) {
    const page = await (await browser.createBrowserContext()).newPage()
    await page.goto(url.href)
    await page.waitForFunction(() => document.getElementById('state').textContent.startsWith('Joined'), { timeout: 30000 })
    pages.push({ page, name })
  }
  for (const { page } of pages) {
    await page.waitForSelector('#log .event', { timeout: 30000 })
  }
  for (const { page, name } of pages) {
    await page.type('#text', `I am the ${name}\n`)
  }
  for (const { page, name } of pages) {
    const other = name === 'first' ? 'second' : 'first'
    await page.waitForFunction(
      (text) => [...document.querySelectorAll('#log .message')].some((line) => line.textContent.endsWith(text)),
      { timeout: 30000 },
      `: I am the ${other}`
    )
  }
  if (process.argv[3]) {
    await pages[0].page.screenshot({ path: process.argv[3] })
  }
  console.log('each heard the other')
} finally {
  await close()
}

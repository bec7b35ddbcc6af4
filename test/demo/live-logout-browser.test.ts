import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { until } from '../support/until.js'
import { CONTRASTS } from './contrasts.js'
import { launchChromium } from './launch-chromium.js'
import { RunningDemo } from './running-demo.js'

let site: RunningDemo
let browser: Browser | undefined

beforeAll(async () => {
  browser = await launchChromium('the page of "live logout"')
  if (browser) site = await RunningDemo.start({}, 'examples/live-logout/start.js')
})

afterAll(async () => {
  await browser?.close()
  await site?.stop()
})

beforeEach(context => {
  if (!browser) context.skip('there is no chromium')
})

/** Somebody with a browser of his own, whose page is open on a node, and what that complains about. */
async function visitor(node: number, look: Parameters<Browser['newContext']>[0] = {}) {
  if (!browser) throw new Error('There is no browser.')
  const context = await browser.newContext({ viewport: { width: 1100, height: 860 }, ...look })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', error => problems.push(String(error)))
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text())
  })
  await page.goto(site.url(node))
  return { page, problems }
}

async function logIn(page: Page, user: string): Promise<void> {
  await page.getByRole('button', { name: user }).click()
  for (const connection of ['#ws', '#sse']) await shows(page, `${connection} .state`, 'open')
}

async function shows(page: Page, selector: string, text: string): Promise<void> {
  await until(async () => (await page.locator(selector).allTextContents()).join(' ').includes(text), {
    message: `${selector} of ${page.url()} to show ${text}`,
  })
}

it('ends the WebSocket and the event stream of another browser on another node at once', async () => {
  const one = await visitor(1)
  const other = await visitor(2)
  const bob = await visitor(2)
  await logIn(one.page, 'alice')
  await logIn(other.page, 'alice')
  await logIn(bob.page, 'bob')
  // Each sees the connections of both, and none of bob's.
  for (const { page } of [one, other]) {
    await until(async () => (await page.locator('#connections li').count()) === 4)
    expect(await page.getByText('another browser').count()).toBe(2)
  }
  await one.page.getByRole('button', { name: 'Say hello' }).click()
  await shows(one.page, '#receipt', 'Given to4')
  await shows(one.page, '#receipt', 'node-2')
  for (const connection of ['#ws', '#sse']) {
    await shows(other.page, `${connection} .story`, 'Hello, from a window on node-1.')
  }

  const answers: number[] = []
  other.page.on('response', response => {
    if (response.url().endsWith('/api/events')) answers.push(response.status())
  })
  await one.page.getByRole('button', { name: 'Log out everywhere' }).click()
  await shows(other.page, '#ws .story', 'Closed with 1008: session revoked.')
  await shows(other.page, '#sse .story', 'Event “revoked”: session revoked.')
  await shows(other.page, '#ended', 'You were logged out.')
  // It asks once more, is refused, and gives up.
  await shows(other.page, '#sse .story', 'The reconnect was refused: not logged in.')
  expect(answers).toEqual([401])
  await shows(one.page, '#receipt', 'You are logged out everywhere.')
  for (const figure of [
    'Sessions ended2',
    'Connections closed4 of 4',
    'node-1, node-2',
    'No answer fromnobody',
  ])
    await shows(one.page, '#receipt', figure)

  // Nobody else is touched.
  expect(await bob.page.locator('#ws .state, #sse .state').allTextContents()).toEqual(['open', 'open'])
  await other.page.getByRole('button', { name: 'Log in again' }).click()
  await logIn(other.page, 'alice')
  // What a browser writes of an answer of 401 is all that it complains about.
  const unexpected = [...one.problems, ...other.problems, ...bob.problems].filter(text => !/ 401 /.test(text))
  expect(unexpected).toEqual([])
})

it.each([
  ['light', 1100],
  ['dark', 1100],
  ['light', 390],
  ['dark', 390],
] as const)('is legible and fits: %s, %i pixels', async (colorScheme, width) => {
  const { page } = await visitor(1, { colorScheme, viewport: { width, height: 860 } })
  const isFine = async () => {
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    expect(await page.evaluate(CONTRASTS)).toEqual([])
  }
  await page.locator('#login').waitFor()
  await isFine()
  await logIn(page, 'bob')
  await until(async () => (await page.locator('#connections li').count()) >= 2)
  await isFine()
  await page.getByRole('button', { name: 'Log out everywhere' }).click()
  await shows(page, '#receipt', 'You are logged out everywhere.')
  await shows(page, '#ended', 'You were logged out.')
  await isFine()
})

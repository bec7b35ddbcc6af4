// With WRITE_SCREENSHOTS=1 the pictures in docs/images are made anew.

import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ROOT } from '../support/run-command.js'
import { until } from '../support/until.js'
import { CONTRASTS } from './contrasts.js'
import { Device } from './device.js'
import { launchChromium } from './launch-chromium.js'
import { RunningDemo } from './running-demo.js'

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'
const OTHERS = [
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
    '203.0.113.42',
  ],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0',
    '198.51.100.7',
  ],
  [
    'Mozilla/5.0 (Linux; Android 15; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36',
    '2001:db8::7a3f',
  ],
]

let site: RunningDemo
let browser: Browser | undefined

beforeAll(async () => {
  browser = await launchChromium('the page of "my devices"')
  if (browser) site = await RunningDemo.start({}, 'examples/my-devices/start.js')
})

afterAll(async () => {
  await browser?.close()
  await site?.stop()
})

beforeEach(context => {
  if (!browser) context.skip('there is no chromium')
})

type Look = Parameters<Browser['newContext']>[0]

/** Somebody with a browser of his own, where no script may run. */
async function visitor(
  look: Look = {},
): Promise<{ context: BrowserContext; page: Page; problems: string[] }> {
  if (!browser) throw new Error('There is no browser.')
  const context = await browser.newContext({
    javaScriptEnabled: false,
    userAgent: FIREFOX,
    viewport: { width: 1100, height: 860 },
    reducedMotion: 'reduce',
    extraHTTPHeaders: { 'x-forwarded-for': '203.0.113.9' },
    ...look,
  })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text())
  })
  return { context, page, problems }
}

async function logIn(page: Page, user: string, node: number): Promise<void> {
  await page.goto(site.url(node))
  await page.getByRole('button', { name: user }).click()
  await shows(page, user === 'sam' ? 'Security desk' : 'Your devices')
}

/** Waits for the page of this heading, styles and all. */
async function shows(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor()
  await page.waitForLoadState()
}

it('logs out the other browser, which is out on its next click on the other node', async () => {
  const one = await visitor()
  const other = await visitor({ userAgent: OTHERS[0]?.[0] ?? '' })
  await logIn(one.page, 'alice', 1)
  await logIn(other.page, 'alice', 2)
  await one.page.reload()
  expect(await one.page.getByRole('listitem').filter({ hasText: 'This device' }).textContent()).toContain(
    'Firefox on Linux',
  )
  await one.page.getByRole('button', { name: 'Log out Safari on iPhone' }).click()
  await one.page.getByRole('status').waitFor()
  expect(await one.page.getByRole('status').textContent()).toMatch(
    /Safari on iPhone is logged out\.\s+1 session ended\. Effective everywhere by \d\d:\d\d:\d\d UTC/,
  )
  // Until the message has arrived at its node, it may still be shown the page.
  await until(async () => {
    await other.page.goto(site.url(2, '/devices'))
    return (await other.page.getByRole('heading', { level: 1 }).textContent()) === 'Log in'
  })
  expect(await other.page.getByRole('status').textContent()).toContain('This device was logged out.')

  // The first is still in, on both nodes, until it logs out everywhere.
  await one.page.getByRole('link', { name: 'ask node-2' }).click()
  await shows(one.page, 'Your devices')
  await one.page.getByRole('button', { name: 'Log out everywhere' }).click()
  await shows(one.page, 'You are logged out everywhere')
  await one.page.goto(site.url(1, '/devices'))
  await shows(one.page, 'Log in')
  expect([...one.problems, ...other.problems]).toEqual([])
})

it('lets the security desk log a user out, and shows the result without a script', async () => {
  const bob = await visitor()
  const sam = await visitor()
  await logIn(bob.page, 'bob', 2)
  await logIn(sam.page, 'sam', 1)
  await sam.page.getByRole('button', { name: 'Log out everywhere for bob' }).click()
  // The page asks again by itself while the work is under way.
  await shows(sam.page, 'bob is logged out everywhere')
  await bob.page.reload()
  await shows(bob.page, 'Log in')
  await sam.page.getByRole('link', { name: 'Back to the security desk' }).click()
  await shows(sam.page, 'Security desk')
  expect(await sam.page.getByRole('table').textContent()).toContain('revoked')
  expect([...bob.problems, ...sam.problems]).toEqual([])
})

it('can be used with the keyboard alone', async () => {
  const { page } = await visitor()
  await logIn(page, 'carol', 1)
  await new Device(site, FIREFOX).logIn('u-e05d', 2)
  await page.reload()
  await page.keyboard.press('Tab')
  expect(await page.locator(':focus').textContent()).toBe('Skip to the content')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  expect(await page.locator(':focus').textContent()).toBe('Log out my other devices')
  await page.keyboard.press('Enter')
  await page.getByRole('status').filter({ hasText: '1 session ended.' }).waitFor()
})

it.each([
  ['light', 'my-devices.png', 1100],
  ['dark', 'my-devices-dark.png', 1100],
  ['light', undefined, 390],
  ['dark', undefined, 390],
] as const)('is legible and fits: %s, %s, %i pixels', async (colorScheme, picture, width) => {
  for (const [userAgent = '', ip = ''] of OTHERS) await new Device(site, userAgent, ip).logIn('u-7f3a', 2)
  const { page } = await visitor({ colorScheme, viewport: { width, height: 860 }, javaScriptEnabled: true })
  await logIn(page, 'alice', 1)
  const lost = page.getByRole('listitem').filter({ hasText: '198.51.100.7' }).first()
  await lost.getByRole('button').click()
  await page.getByRole('status').waitFor()
  await shows(page, 'Your devices')
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
  expect(await page.evaluate(CONTRASTS)).toEqual([])
  if (picture && process.env.WRITE_SCREENSHOTS) {
    await page.screenshot({ path: join(ROOT, 'docs/images', picture) })
  }
  await page.getByRole('button', { name: 'Log out everywhere' }).click()
  await shows(page, 'You are logged out everywhere')
  expect(await page.evaluate(CONTRASTS)).toEqual([])
  await logIn(page, 'sam', 1)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
  expect(await page.evaluate(CONTRASTS)).toEqual([])
  await page.getByRole('button', { name: 'Log out', exact: true }).click()
  await shows(page, 'Log in')
  expect(await page.evaluate(CONTRASTS)).toEqual([])
})

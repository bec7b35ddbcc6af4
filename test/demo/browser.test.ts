import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { until } from '../support/until.js'
import { launchChromium } from './launch-chromium.js'
import { RunningDemo } from './running-demo.js'

let demo: RunningDemo
let browser: Browser | undefined

beforeAll(async () => {
  browser = await launchChromium('the page of the demo')
  if (browser) demo = await RunningDemo.start()
})

afterAll(async () => {
  await browser?.close()
  await demo?.stop()
})

beforeEach(context => {
  if (!browser) context.skip('there is no chromium')
})

it('shows a login, where it is answered from, and that a revocation ends it on every node', async () => {
  const { open, problems } = visitor()
  const first = await open(1)
  await first.getByRole('button', { name: 'alice' }).click()
  await shows(first, '#user', 'alice')
  await until(async () => {
    await first.getByRole('button', { name: 'Ask again' }).click()
    return (await first.locator('#origin').textContent()) === 'from memory'
  })

  const second = await open(2)
  await shows(second, '#user', 'alice')
  await second.getByLabel('Put something into the basket').fill('green tea')
  await second.getByRole('button', { name: 'Add' }).click()
  await shows(first, '#items', 'green tea')
  await second.getByRole('button', { name: 'Read 100 times' }).click()
  const reads = await until(() => second.locator('#reads:visible').textContent())
  expect(reads).toMatch(/^[1-9]\d* of 100 answers came from memory; Redis was asked \d+ times?\.$/)

  const third = await open(3)
  await shows(third, '#user', 'Nobody')
  await third.getByLabel('Log in as anybody').fill('alice')
  await third.getByRole('button', { name: 'Log in' }).click()
  await shows(third, '#user', 'alice')
  for (const page of [first, second, third])
    await until(async () => String(await whoIsWhere(page)) === 'alice,alice,alice')

  await third.getByRole('button', { name: 'Revoke' }).click()
  await shows(third, '#revoked', /^alice: \d+ sessions scanned, 2 matched, 2 deleted\.$/)
  for (const page of [first, second, third]) {
    await shows(page, '#user', 'Nobody')
    await until(async () => String(await whoIsWhere(page)) === 'nobody,nobody,nobody')
  }
  expect(await first.locator('#explanation').textContent()).toBe(
    'The login of alice has ended, and node-1 knows.',
  )
  expect(problems).toEqual([])
})

it('ends a login on both Express nodes by a logout', async () => {
  const { open, problems } = visitor()
  const first = await open(1)
  const second = await open(2)
  await first.getByRole('button', { name: 'bob' }).click()
  await shows(second, '#user', 'bob')
  await second.getByRole('button', { name: 'Log out' }).click()
  await shows(first, '#user', 'Nobody')
  expect(problems).toEqual([])
})

it('shows a name as text, whatever it looks like', async () => {
  const { open, problems } = visitor()
  const page = await open(1)
  const name = '<img src=x onerror=alert(1)>'
  await page.getByLabel('Log in as anybody').fill(name)
  await page.getByRole('button', { name: 'Log in' }).click()
  await shows(page, '#user', name)
  await until(async () => (await whoIsWhere(page))[0] === name)
  await page.getByRole('button', { name: 'Revoke' }).click()
  await shows(page, '#revoked', /^<img .*>: \d+ sessions? scanned, 1 matched, 1 deleted\.$/)
  expect(await page.locator('img').count()).toBe(0)
  expect(problems).toEqual([])
})

it.each([1200, 390])('fits into %i pixels', async width => {
  const { open } = visitor(width)
  const page = await open(3)
  await page.getByRole('button', { name: 'carol' }).click()
  await shows(page, '#user', 'carol')
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
})

/** Somebody with a browser of his own, and what that complains about. */
function visitor(width = 1200) {
  const problems: string[] = []
  const context = browser?.newContext({ viewport: { width, height: 900 } })
  const open = async (node: number): Promise<Page> => {
    const page = await (await context)?.newPage()
    if (!page) throw new Error('There is no browser.')
    page.on('pageerror', error => problems.push(String(error)))
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text())
    })
    await page.goto(demo.url(node))
    await until(async () => (await page.locator('#nodes tr').count()) === 3)
    return page
  }
  return { open, problems }
}

async function shows(page: Page, selector: string, text: string | RegExp): Promise<void> {
  const isIt = (shown: string) => (typeof text === 'string' ? shown === text : text.test(shown))
  await until(async () => isIt((await page.locator(selector).textContent()) ?? ''), {
    message: `${selector} of ${page.url()} to show ${text}`,
  })
}

/** What the table of nodes says, without the badges. */
function whoIsWhere(page: Page): Promise<string[]> {
  return page.evaluate(
    `[...document.querySelectorAll('#nodes [data-title="You there"]')].map(cell => cell.firstChild.data)`,
  )
}

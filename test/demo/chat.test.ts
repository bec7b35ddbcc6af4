import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { SessionCluster } from '../../src/index.js'
import { until } from '../support/until.js'
import { CONTRASTS } from './contrasts.js'
import { launchChromium } from './launch-chromium.js'
import { RunningDemo } from './running-demo.js'

interface Said {
  type: string
  by?: string
  words?: string
  people?: { name: string; nodes: string[] }[]
  receipt?: object
}

let site: RunningDemo
let browser: Browser | undefined

beforeAll(async () => {
  site = await RunningDemo.start({}, 'examples/chat/start.js')
})

afterAll(async () => {
  await browser?.close()
  await site?.stop()
})

class Chatter {
  readonly heard: Said[] = []
  closed: { code: number; reason: string } | undefined
  readonly #socket: WebSocket

  constructor(node: number, origin?: string) {
    this.#socket = new WebSocket(site.url(node).replace('http:', 'ws:'), { origin })
    this.#socket.on('message', data => this.heard.push(JSON.parse(String(data)) as Said))
    this.#socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
    this.#socket.on('error', () => {})
    onTestFinished(() => this.#socket.terminate())
  }

  /** At once, before anybody has said that it may. */
  async joins(name: string): Promise<this> {
    await until(() => this.#socket.readyState === WebSocket.OPEN)
    this.send({ type: 'join', name })
    return this
  }

  send(message: object): void {
    this.#socket.send(JSON.stringify(message))
  }

  leave(): void {
    this.#socket.terminate()
  }

  /** Who is there, by what was heard last, as `ann@node-1`. */
  get people(): string {
    const { people = [] } = this.heard.findLast(({ type }) => type === 'people') ?? {}
    return people.map(({ name, nodes }) => `${name}@${nodes.join('+')}`).join(' ')
  }

  get said(): string[] {
    return this.heard.filter(({ type }) => type === 'said').map(({ by, words }) => `${by}: ${words}`)
  }

  sees(people: string): Promise<unknown> {
    return until(() => this.people === people, {
      message: () => `somebody to see "${people}"; he sees "${this.people}"`,
    })
  }
}

it('shows on every node who is on all of them, and lets each hear all, in order', async () => {
  const ann = await new Chatter(1).joins('ann')
  const bob = await new Chatter(2).joins('bob')
  const cid = await new Chatter(3).joins('cid')
  const everybody = [ann, bob, cid]
  for (const each of everybody) await each.sees('ann@node-1 bob@node-2 cid@node-3')
  for (let nth = 0; nth < 20; nth++) bob.send({ type: 'say', words: `word ${nth}` })
  const words = Array.from({ length: 20 }, (_, nth) => `bob: word ${nth}`)
  for (const each of everybody) await until(() => each.said.length === 20)
  for (const each of everybody) expect(each.said).toEqual(words)
  bob.leave()
  for (const each of [ann, cid]) await each.sees('ann@node-1 cid@node-3')
})

it('kicks somebody from whatever node he is on, and shows what became of it', async () => {
  const ann = await new Chatter(1).joins('ann')
  const here = await new Chatter(1).joins('eve')
  const there = await new Chatter(3).joins('eve')
  await ann.sees('ann@node-1 eve@node-1+node-3')
  ann.send({ type: 'kick', name: 'eve' })
  for (const each of [here, there]) {
    await until(() => each.closed)
    expect(each.closed).toEqual({ code: 4001, reason: 'Kicked by ann.' })
  }
  const receipt = await until(() => ann.heard.find(({ type }) => type === 'receipt'))
  expect(receipt).toMatchObject({
    name: 'eve',
    receipt: { matched: 2, closed: 2, nodes: { acked: ['node-3'], missing: [] } },
  })
  await ann.sees('ann@node-1')
  // It was no logout.
  await new Chatter(3).joins('eve')
  await ann.sees('ann@node-1 eve@node-3')
})

it('takes nothing from those who have not joined, and lets no page of another site in', async () => {
  const ann = await new Chatter(1).joins('ann')
  const nobody = new Chatter(2)
  await until(() => nobody.people !== '')
  nobody.send({ type: 'kick', name: 'ann' })
  nobody.send({ type: 'say', words: 'hello' })
  await until(() => nobody.heard.filter(({ type }) => type === 'error').length === 2)
  const forged = new Chatter(1, 'http://elsewhere.example')
  await until(() => forged.closed)
  expect([forged.heard, ann.said, ann.closed]).toEqual([[], [], undefined])
})

it.each([
  ['light', 1100],
  ['dark', 390],
] as const)('has a page that is legible and fits: %s, %i pixels', async (colorScheme, width) => {
  browser ??= await launchChromium('the page of the chat')
  if (!browser) return
  const context = await browser.newContext({ colorScheme, viewport: { width, height: 860 } })
  onTestFinished(() => context.close())
  const problems: string[] = []
  const page = await context.newPage()
  page.on('pageerror', error => problems.push(String(error)))
  page.on('console', message => problems.push(message.text()))
  await page.goto(site.url(2))
  const eve = await new Chatter(3).joins('<b>eve</b>')
  await page.getByLabel('Your name').fill('ann')
  await page.getByRole('button', { name: 'Join' }).click()
  await page.getByLabel('Say something').fill('Hello, everybody.')
  await page.getByRole('button', { name: 'Say' }).click()
  await until(() => eve.said.includes('ann: Hello, everybody.'))
  await page.getByText('Hello, everybody.').waitFor()
  await page.getByRole('button', { name: 'Kick <b>eve</b>' }).click()
  await page.getByText('1 of 1').waitFor()
  await until(() => eve.closed)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
  expect(await page.evaluate(CONTRASTS)).toEqual([])
  expect(problems).toEqual([])
})

it('takes those of a node that was killed off the list', async () => {
  const ann = await new Chatter(1).joins('ann')
  const bob = await new Chatter(2).joins('bob')
  await ann.sees('ann@node-1 bob@node-2')
  process.kill(await pidOf(2), 'SIGKILL')
  await until(() => bob.closed)
  await ann.sees('ann@node-1')
  expect(await site.stop('SIGINT')).toBe(0)
  expect(ann.closed).toEqual({ code: 1001, reason: 'going away' })
})

async function pidOf(node: number): Promise<number> {
  const cluster = new SessionCluster({ redis: `redis://127.0.0.1:${site.redisPort}`, keyPrefix: 'chat:' })
  onTestFinished(() => cluster.shutdown())
  const found = (await cluster.nodes.list()).find(({ id }) => id === `node-${node}`)
  return Number(found?.meta.pid)
}

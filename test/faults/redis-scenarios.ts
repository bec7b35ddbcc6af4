import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Span } from '../checker/history.js'
import type { RedisServer } from '../support/redis-server.js'
import type { ProxyConnection } from '../support/tcp-proxy.js'
import type { AppNode } from './app-node.js'
import type { Scenario } from './scenario.js'
import { onRedis, type Site } from './site.js'

const HELD = 3_000
const HOUR = 3_600_000
/** Together more than the buffers of a connection take. */
const MAX_FILLER = 64 * 1024
const MAX_FILLERS = 500
const HEARING = ['channel', 'tracking'] as const
/** With client-side caching Redis tells of changes where a client sends its commands. */
const TRACKING = /\r\nTRACKING\r\n\$2\r\nON\r\n/i

export const redisScenarios: readonly Scenario<RedisServer>[] = [
  scenario('nothing', async () => sleep(HELD)),
  scenario(
    'the subscriber is cut, again and again',
    async site => {
      for (let times = 0; times < 6; times++) {
        const lines = site.nodes.flatMap(subscribersOf)
        // Of those that were cut before some may not be back yet.
        if (times === 0) mustExist(lines)
        for (const each of lines) each.cut()
        await sleep(HELD / 6)
      }
    },
    { always: true, meets: HEARING },
  ),
  scenario(
    'the subscriber is half open',
    async site => {
      deafen(site.node('a'))
      await sleep(2 * HELD)
    },
    { always: true, meets: HEARING },
  ),
  scenario(
    'messages wait on their way for 3 s',
    async site => {
      const held = mustExist(subscribersOf(site.node('a')))
      for (const each of held) each.holdReplies()
      await sleep(HELD)
      for (const each of held) each.releaseReplies()
    },
    { meets: HEARING },
  ),
  scenario('the connection for commands is cut, again and again', async site => {
    for (let times = 0; times < 6; times++) {
      for (const each of othersOf(site.node('a'))) each.cut()
      await sleep(HELD / 6)
    }
  }),
  scenario('the connection for commands is half open', async site => {
    for (const each of mustExist(othersOf(site.node('a')))) each.blackhole()
    await sleep(HELD)
    // No reply tells of it but the operating system, after minutes.
    for (const each of othersOf(site.node('a'))) each.cut()
  }),
  scenario('a node is cut off from Redis for 4 s', async site => {
    const { proxy } = site.node('a')
    await proxy?.refuse(true)
    for (const each of proxy?.connections ?? []) each.cut()
    await sleep(4_000)
    await proxy?.refuse(false)
  }),
  scenario('the output buffer of the subscriber overflows', overflow, { meets: ['channel'] }),
  scenario('`CLIENT KILL` of all', async site => {
    const admin = site.deployment.client()
    const clients = String(await admin.client('LIST')).split('\n')
    for (const client of clients) {
      const [, id, command] = /^id=(\d+) .*cmd=(\S+)/.exec(client) ?? []
      if (id !== undefined && command !== 'monitor' && command !== 'client|list') {
        await admin.call('CLIENT', 'KILL', 'ID', id, 'SKIPME', 'yes')
      }
    }
  }),
  scenario(
    'an app is stopped for 4 s, longer than its lease',
    async site => {
      const node = site.node('a')
      node.pause()
      await sleep(4_000)
      node.resume()
    },
    { always: true },
  ),
  scenario(
    'an app is killed between its writes and their replies',
    async site => {
      const node = site.node('a')
      for (const each of mustExist(othersOf(node))) each.holdReplies()
      await sleep(300)
      await node.kill()
      await sleep(HELD)
      await node.restart()
    },
    { always: true },
  ),
  scenario('`FLUSHALL`', async site => {
    await site.deployment.client().flushall()
  }),
  scenario('Redis is killed, and restarted without its data', async site => {
    await restart(site)
    site.emptied.push(Date.now())
  }),
  scenario(
    'Redis is killed, and restarted with its data',
    async site => {
      site.killed.push(await restart(site))
    },
    { options: { config: { appendonly: 'yes', appendfsync: 'always' } } },
  ),
  scenario('Redis is stopped for 4 s', async site => {
    await site.deployment.pause()
    await sleep(4_000)
    site.deployment.resume()
  }),
  scenario('50 ms of latency', async site => {
    for (const { proxy } of site.nodes) proxy?.delay(25)
    await sleep(HELD)
    for (const { proxy } of site.nodes) proxy?.delay(0)
  }),
  scenario('a burst of 10,000 invalidations', async site => {
    const { status } = await site.node('b').send('POST', '/burst?count=10000')
    if (status !== 200) throw new Error(`The burst was answered with ${status}`)
  }),
  scenario('the clocks of two nodes are wrong, by an hour each way', async () => sleep(HELD), {
    options: { settings: { a: { clockOff: -HOUR }, c: { clockOff: HOUR } } },
  }),
  scenario('two nodes have the same id', async () => sleep(HELD), {
    options: { settings: { b: { idToOthers: 'a' } } },
  }),
]

function scenario(
  name: string,
  strike: Scenario<RedisServer>['strike'],
  more: Pick<Scenario<RedisServer>, 'options' | 'always' | 'meets'> = {},
): Scenario<RedisServer> {
  return { name, open: onRedis, strike, ...more }
}

/** It hears nothing more of what others change, and does not notice. */
export function deafen(node: AppNode): void {
  for (const each of mustExist(subscribersOf(node))) each.blackhole()
}

/** On which a node hears what others have changed. */
function subscribersOf({ proxy }: AppNode): ProxyConnection[] {
  return proxy?.connections.filter(each => each.isSubscriber || TRACKING.test(each.sent)) ?? []
}

/** What is not there cannot break. */
function mustExist(connections: ProxyConnection[]): ProxyConnection[] {
  if (connections.length === 0) throw new Error('There is no such connection')
  return connections
}

function othersOf({ proxy }: AppNode): ProxyConnection[] {
  return proxy?.connections.filter(each => !each.isSubscriber) ?? []
}

/** Nobody gets through before all that happens is seen. */
async function restart(site: Site<RedisServer>): Promise<Span> {
  const refuse = (refusing: boolean) => Promise.all(site.nodes.map(({ proxy }) => proxy?.refuse(refusing)))
  await refuse(true)
  const from = Date.now()
  await site.deployment.restart()
  await Promise.all(site.monitors.map(monitor => monitor.attached()))
  const to = Date.now()
  await refuse(false)
  return { from, to }
}

/** Redis gives up a subscriber for whom it has to keep too much. */
async function overflow(site: Site<RedisServer>): Promise<void> {
  const admin = site.deployment.client()
  const subscribers = async () =>
    String(await admin.client('LIST', 'TYPE', 'PUBSUB'))
      .trim()
      .split('\n').length
  await admin.config('SET', 'client-output-buffer-limit', 'pubsub 4mb 0 0')
  const held = mustExist(subscribersOf(site.node('a')))
  for (const each of held) each.stopReading()
  const before = await subscribers()
  const channel = await commonChannel(admin)
  // None of the stores takes it for a message of its own, and none fails on it.
  const filler = JSON.stringify({ actionId: '', data: { key: 'filler' }, filler: 'x'.repeat(MAX_FILLER) })
  for (let sent = 0; sent < MAX_FILLERS && (await subscribers()) === before; sent++) {
    await admin.publish(channel, filler)
  }
  if ((await subscribers()) === before) throw new Error('Redis has given up no subscriber')
  for (const each of held) each.readOn()
  await sleep(HELD)
}

/** The one that most listen to; each has one of its own besides. */
async function commonChannel(admin: Redis): Promise<string> {
  const channels = (await admin.pubsub('CHANNELS')) as string[]
  const counts = (await admin.pubsub('NUMSUB', ...channels)) as (string | number)[]
  const numbers = channels.map((_, index) => Number(counts[2 * index + 1]))
  return channels[numbers.indexOf(Math.max(...numbers))] ?? ''
}

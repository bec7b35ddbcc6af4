import { expect, it } from 'vitest'
import type { AppNode, Resources } from '../faults/app-node.js'
import { redisScenarios } from '../faults/redis-scenarios.js'
import type { Row } from '../faults/row.js'
import { onRedis, type Site } from '../faults/site.js'
import { OURS } from '../faults/stores.js'
import { strikeUnderLoad } from '../faults/strike-under-load.js'
import { type RedisServer, realRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type Calm, writeReport } from './report.js'

/** It is a command of its own. */
const MINUTES = Number(process.env.SOAK_MINUTES ?? 10)
const MINUTE = 60_000
const SHOWN = 5
/** Short, so that all ends by itself. */
const TOMBSTONE_TTL = 6_000
const MAX_AGE = 8_000
/** What the collector and the compiler make of the same work at another time. */
const HEAP_MAY_GROW_BY = 4 * 1024 * 1024

/** Those that a site survives that was not opened for them. */
const mixed = redisScenarios.filter(({ options }) => !options)
const pick = (share: number) => mixed[Math.floor(share * mixed.length)] as (typeof mixed)[number]

it.runIf(process.env.SOAK_MINUTES !== undefined && realRedis())(
  `when it is over, after ${MINUTES} minutes of trouble, nothing is left of it`,
  { timeout: MINUTES * MINUTE + 4 * MINUTE },
  async () => {
    const site = await onRedis({ store: OURS, everywhere: { tombstoneTtl: TOMBSTONE_TTL, maxAge: MAX_AGE } })
    const rows: Row[] = []
    const strike = async (scenario: (typeof redisScenarios)[number]) => {
      const { row, breaches, wrong, story } = await strikeUnderLoad(site, scenario)
      rows.push(row)
      expect(wrong, row.fault).toEqual([])
      expect(breaches.slice(0, SHOWN), `${breaches.length} broken promises, ${row.fault}\n${story}`).toEqual(
        [],
      )
    }
    try {
      // What is used for the first time stays.
      await strike(pick(0))
      const before = await calm(site)
      const over = Date.now() + MINUTES * MINUTE
      do await strike(pick(Math.random()))
      while (Date.now() < over)
      await returnsTo(before, site)
      const after = await calm(site)
      if (process.env.WRITE_SOAK === '1') await writeReport(MINUTES, rows, { before, after })
    } finally {
      await site.stop()
    }
  },
)

/** Nobody asks any more, and all that stands in Redis has come to its end. */
async function calm(site: Site<RedisServer>): Promise<Calm> {
  const admin = site.deployment.client()
  await until(async () => (await admin.dbsize()) === 0, {
    timeout: 5 * MAX_AGE,
    message: 'all keys to end',
  })
  const keys = await admin.dbsize()
  admin.disconnect()
  const counted = site.nodes.map(async each => [each.name, await settled(each)] as const)
  return { keys, nodes: new Map(await Promise.all(counted)) }
}

/** Connections that are being closed are no more counted. */
async function settled(node: AppNode): Promise<Resources> {
  let before = await node.resources()
  return until(
    async () => {
      const now = await node.resources()
      const same = now.handles === before.handles
      before = now
      return same ? now : undefined
    },
    { message: `the connections of ${node.name} to close` },
  )
}

/** Timers and connections come and go; as many must be seen as there were. */
async function returnsTo(before: Calm, site: Site<RedisServer>): Promise<void> {
  let differences: string[] = []
  await until(
    async () => {
      const after = await calm(site)
      differences = [...before.nodes].flatMap(([name, counts]) =>
        differencesOf(name, counts, after.nodes.get(name) as Resources),
      )
      return differences.length === 0
    },
    { timeout: MINUTE, message: () => `everything to be as it was before; ${differences.join(', ')}` },
  )
}

function differencesOf(name: string, before: Resources, after: Resources): string[] {
  const counts = (['handles', 'timers', 'listeners'] as const)
    .filter(kind => after[kind] > before[kind])
    .map(kind => `${name} has ${after[kind]} ${kind}, it had ${before[kind]}`)
  const grown = after.heap - before.heap
  return grown > HEAP_MAY_GROW_BY ? [...counts, `the heap of ${name} has grown by ${grown}`] : counts
}

import { afterAll, describe, expect, it } from 'vitest'
import { realRedis, startRedis } from '../support/redis-server.js'
import { failovers } from './failovers.js'
import { missingRows, writeReport } from './report.js'
import type { Row } from './row.js'
import { runScenario } from './run-scenario.js'
import { scenarios } from './scenarios.js'
import { OURS, stores } from './stores.js'

const SHOWN = 10

/** All of it is a command of its own. */
const everything = process.env.WRITE_FAULTS === '1'
const rows: Row[] = []

describe.skipIf(!realRedis())('three nodes under load keep every promise while', () => {
  for (const scenario of [...scenarios, ...failovers]) {
    it.runIf(everything || scenario.always)(scenario.name, { timeout: 120_000 }, async () => {
      const { breaches, wrong, row } = await runScenario(scenario, OURS)
      rows.push(row)
      expect(wrong).toEqual([])
      expect(breaches.slice(0, SHOWN), `${breaches.length} broken promises`).toEqual([])
    })
  }
})

describe.runIf(everything && realRedis())('for comparison', () => {
  for (const scenario of scenarios) {
    for (const store of stores.filter(each => each !== OURS)) {
      it(`${store}: ${scenario.name}`, { timeout: 120_000 }, async () => {
        rows.push((await runScenario(scenario, store)).row)
      })
    }
  }
})

afterAll(async () => {
  if (!everything) return
  await using server = await startRedis()
  const version = /redis_version:(\S+)/.exec(await server.client().info('server'))?.[1] ?? ''
  await writeReport(rows, version)
})

it('has a row for each of them in docs/reliability.md', async () => {
  expect(await missingRows()).toEqual([])
})

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { realRedis } from '../support/redis-server.js'
import { clusterScenarios } from './cluster-scenarios.js'
import { deafen, redisScenarios } from './redis-scenarios.js'
import { meetings, missingRows, writeReport } from './report.js'
import type { Row } from './row.js'
import { runScenario } from './run-scenario.js'
import type { Scenario } from './scenario.js'
import { sentinelScenarios } from './sentinel-scenarios.js'
import { type Deployment, onRedis, type Site } from './site.js'
import { OURS, stores } from './stores.js'

const SHOWN = 10

/** All of it is a command of its own. */
const everything = process.env.WRITE_FAULTS === '1'
const rows: Row[] = []

describe.skipIf(!realRedis())('three nodes under load keep every promise while', () => {
  const each = <On extends Deployment>(scenario: Scenario<On>) =>
    it.runIf(everything || scenario.always)(scenario.name, { timeout: 120_000 }, async () => {
      const { breaches, wrong, row } = await runScenario(scenario, OURS)
      rows.push(row)
      expect(wrong).toEqual([])
      expect(breaches.slice(0, SHOWN), `${breaches.length} broken promises`).toEqual([])
    })
  redisScenarios.forEach(each)
  clusterScenarios.forEach(each)
  sentinelScenarios.forEach(each)
})

/** This cache serves from memory what it has not been told about. */
const DEAF = stores.find(({ name }) => name.startsWith('BentoCache'))?.name ?? ''

it.skipIf(!realRedis())('finds what it looks for where it is', { timeout: 120_000 }, async () => {
  const strike = async (site: Site) => {
    deafen(site.node('a'))
    await sleep(3_000)
  }
  const { breaches } = await runScenario({ name: 'a node is deaf', open: onRedis, strike }, DEAF)
  const found = breaches.filter(({ promise, what }) => promise === 'stale' && what.startsWith('a served'))
  expect(found.length, 'reads of what was destroyed or overwritten').toBeGreaterThan(0)
})

describe.runIf(everything && realRedis())('for comparison', () => {
  for (const { fault, store } of meetings.filter(({ store }) => store !== OURS)) {
    const scenario = redisScenarios.find(({ name }) => name === fault)
    it.runIf(scenario)(`${store}: ${fault}`, { timeout: 120_000 }, async () => {
      if (scenario) rows.push((await runScenario(scenario, store)).row)
    })
  }
})

afterAll(async () => {
  if (!everything) return
  await writeReport(rows)
})

it.skipIf(everything)('has a row for each of them in docs/reliability.md', async () => {
  expect(await missingRows()).toEqual([])
})

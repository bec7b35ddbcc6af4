import { afterAll, describe, expect, it } from 'vitest'
import { realRedis } from '../support/redis-server.js'
import { VISITORS } from './load.js'
import { missingRows, type Row, writeReport } from './report.js'
import { runScenario } from './run-scenario.js'
import { scenarios } from './scenarios.js'

const SHOWN = 10

const rows: Row[] = []

describe.skipIf(!realRedis())(
  `${VISITORS} clients of an Express app and ${VISITORS} of a Koa app, while`,
  () => {
    for (const scenario of scenarios) {
      it(scenario.name, { timeout: 60_000 }, async () => {
        const outcomes = await runScenario(scenario)
        const wrong = outcomes.flatMap(outcome => outcome.wrong)
        expect(wrong.slice(0, SHOWN), `${wrong.length} things that must not be`).toEqual([])
        rows.push(...outcomes.map(({ row }) => row))
      })
    }

    afterAll(async () => {
      if (process.env.WRITE_RELIABILITY !== '1') return
      await writeReport(rows)
    })
  },
)

it('has a row for each scenario in docs/reliability.md', async () => {
  expect(await missingRows()).toEqual([])
})

import type { RedisSentinel } from '../support/redis-sentinel.js'
import { until } from '../support/until.js'
import { becomesReplica, FAILOVER_TAKES } from './roles.js'
import type { Scenario } from './scenario.js'
import { behindSentinel, type Site } from './site.js'

export const sentinelScenarios: readonly Scenario<RedisSentinel>[] = [
  scenario('the primary is killed', async ({ deployment, deposed }) => {
    const from = Date.now()
    const primary = await deployment.killMaster()
    deposed.set(primary, { from, to: Date.now() })
    await until(async () => (await deployment.master()) !== primary, { timeout: FAILOVER_TAKES })
  }),
  scenario('a failover on request', failOver),
  scenario('a failover on request, `min-replicas-to-write 1`', failOver, {
    config: { 'min-replicas-to-write': '1', 'min-replicas-max-lag': '1' },
  }),
  scenario('a failover on request, `failoverDetector: true`', failOver, {
    everywhere: { failoverDetector: true },
  }),
  scenario('the primary is stopped, deposed, and goes on', async ({ deployment, deposed }) => {
    const primary = await deployment.master()
    const from = Date.now()
    await primary.pause()
    await until(async () => (await deployment.master()) !== primary, { timeout: FAILOVER_TAKES })
    primary.resume()
    await becomesReplica(primary)
    deposed.set(primary, { from, to: Date.now() })
  }),
]

function scenario(
  name: string,
  strike: Scenario<RedisSentinel>['strike'],
  options: Scenario<RedisSentinel>['options'] = {},
): Scenario<RedisSentinel> {
  return { name: `Sentinel: ${name}`, open: behindSentinel, strike, options }
}

/** The Sentinels leave the primary before alone for some seconds: who is connected to it writes to it still. */
async function failOver({ deployment, deposed }: Site<RedisSentinel>): Promise<void> {
  const primary = await deployment.master()
  const from = Date.now()
  await deployment.failOver()
  await becomesReplica(primary)
  deposed.set(primary, { from, to: Date.now() })
}

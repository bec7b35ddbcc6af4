import type { Scenario } from './scenarios.js'
import { type Outcome, strikeUnderLoad } from './strike-under-load.js'

/** One scenario from its servers on. */
export async function runScenario(scenario: Scenario, store: string): Promise<Outcome> {
  const site = await scenario.open({ store, ...scenario.options })
  try {
    return await strikeUnderLoad(site, scenario)
  } finally {
    await site.stop()
  }
}

import type { Scenario } from './scenario.js'
import type { Deployment } from './site.js'
import { type Outcome, strikeUnderLoad } from './strike-under-load.js'

/** One scenario from its servers on. */
export async function runScenario<On extends Deployment>(
  scenario: Scenario<On>,
  store: string,
): Promise<Outcome> {
  const site = await scenario.open({ store, ...scenario.options })
  try {
    return await strikeUnderLoad(site, scenario)
  } finally {
    await site.stop()
  }
}

// Tries mutations, one after the other, for main.ts.
import { Compiler } from './compiler.js'
import type { Mutation } from './mutations-of.js'
import { Simulation } from './simulation.js'
import { Tests } from './tests.js'

/** What became of a mutation; where it was found, `by` what. */
export interface Outcome {
  readonly kind: 'refused' | 'killed' | 'survived' | 'timeout'
  readonly by?: string
}

const root = process.cwd()
const compiler = new Compiler(root)
const tests = await Tests.start(root)
const simulation = await Simulation.start()

/** The cheapest first. */
async function outcomeOf(mutation: Mutation): Promise<Outcome> {
  if (!compiler.accepts(mutation)) return { kind: 'refused' }
  const by = (await tests.find(mutation)) ?? (await simulation.find(mutation))
  return by === undefined ? { kind: 'survived' } : { kind: 'killed', by }
}

process.on('message', async (mutation: Mutation) => process.send?.(await outcomeOf(mutation)))
process.on('disconnect', async () => {
  await Promise.all([tests.end(), simulation.end()])
  process.exit()
})
process.send?.('ready')

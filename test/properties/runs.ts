import type { Parameters } from 'fast-check'

/**
 * As many runs of a property, the same each time, after examples that were found once. PROPERTY_SEED takes other runs,
 * PROPERTY_RUNS so many times as many.
 */
export function runs<Input>(times: number, examples: unknown[][] = []): Parameters<Input> {
  const { PROPERTY_SEED = '20261121', PROPERTY_RUNS = '1' } = process.env
  const numRuns = Math.ceil(times * Number(PROPERTY_RUNS))
  return { numRuns, seed: Number(PROPERTY_SEED), examples: examples as Input[] }
}

import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, expect } from 'vitest'

/** Fails the test file if a promise was rejected in it that nobody was waiting for. */
export function expectNoUnhandledRejections(): void {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)

  beforeAll(() => {
    process.on('unhandledRejection', note)
  })

  afterAll(async () => {
    await nextTurn()
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })
}

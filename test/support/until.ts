import { setTimeout as sleep } from 'node:timers/promises'
import { startStopwatch } from './stopwatch.js'

export interface UntilOptions {
  /** Milliseconds to keep asking before giving up; those in which the machine was busy with something else do not count. */
  timeout?: number
  /** What is being waited for, as the reader of a failed test needs to hear it. */
  message?: string | (() => string)
}

/** Asks again every few milliseconds until the answer is truthy, and returns that answer. */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeout = 10_000, message = 'a condition to hold' }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const elapsed = startStopwatch()
  let lastError: unknown
  do {
    try {
      const answer = await within(timeout - elapsed(), condition())
      if (answer) return answer
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    await sleep(5)
  } while (elapsed() < timeout)
  const wanted = typeof message === 'function' ? message() : message
  const because = lastError === undefined ? '' : `; last error: ${String(lastError)}`
  throw new Error(`Waited ${timeout} ms in vain for ${wanted}${because}`, { cause: lastError })
}

/** An answer that never comes must not be waited for without end. */
async function within<T>(ms: number, answer: T | Promise<T>): Promise<T> {
  if (!(answer instanceof Promise)) return answer
  const answered = new AbortController()
  const late = sleep(Math.max(0, ms), undefined, { signal: answered.signal }).then(() => {
    throw new Error('the condition itself did not answer in time')
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    answered.abort()
    late.catch(() => {})
  }
}

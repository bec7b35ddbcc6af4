import { setTimeout as sleep } from 'node:timers/promises'

// Taken before any test puts fake timers in place, so that waiting keeps working under them.
const now = performance.now.bind(performance)

export interface UntilOptions {
  /** Milliseconds to keep asking before giving up. */
  timeout?: number
  /** What is being waited for, as the reader of a failed test needs to hear it. */
  message?: string | (() => string)
}

/** Asks again every few milliseconds until the answer is truthy, and returns that answer. */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeout = 10_000, message = 'a condition to hold' }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const deadline = now() + timeout
  let lastError: unknown
  do {
    try {
      const answer = await before(deadline, condition())
      if (answer) return answer
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    await sleep(5)
  } while (now() < deadline)
  const wanted = typeof message === 'function' ? message() : message
  const because = lastError === undefined ? '' : `; last error: ${String(lastError)}`
  throw new Error(`Waited ${timeout} ms in vain for ${wanted}${because}`, { cause: lastError })
}

/** An answer that never comes must not outlast the deadline. */
async function before<T>(deadline: number, answer: T | Promise<T>): Promise<T> {
  if (!(answer instanceof Promise)) return answer
  const answered = new AbortController()
  const late = sleep(Math.max(0, deadline - now()), undefined, { signal: answered.signal }).then(() => {
    throw new Error('the condition itself did not answer in time')
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    answered.abort()
    late.catch(() => {})
  }
}

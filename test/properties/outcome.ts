export type Outcome = { value: unknown; error?: undefined } | { value?: undefined; error: unknown }

/** What becomes of a call, be it at once or later. */
export async function outcome(call: () => unknown): Promise<Outcome> {
  try {
    return { value: await call() }
  } catch (error) {
    return { error }
  }
}

type Done = (error?: unknown, result?: unknown) => void

/** The same of a call that calls back. One that calls back twice, or not at all, is a failed test. */
export function calledBack(call: (done: Done) => unknown): Promise<Outcome> {
  return outcome(
    () =>
      new Promise((resolve, reject) => {
        let called = false
        call((error, result) => {
          if (called) throw new Error('This has called back twice')
          called = true
          if (error) reject(error)
          else resolve(result)
        })
      }),
  )
}

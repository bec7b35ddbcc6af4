import type { Clock } from './clock.js'

/** The answer, if it comes within `ms`; else rejects with what `late` says. */
export function within<T>(
  ms: number,
  clock: Clock,
  answer: Promise<T>,
  late: (ms: number) => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let turn: NodeJS.Immediate | undefined
    const cancelTimer = clock.after(ms, () => {
      // An answer that is here counts, even if the event loop was held up for so long that nobody has read it.
      turn = setImmediate(() => reject(late(ms)))
    })
    const cancel = () => {
      cancelTimer()
      clearImmediate(turn)
    }
    answer.then(
      value => {
        cancel()
        resolve(value)
      },
      error => {
        cancel()
        reject(error)
      },
    )
  })
}

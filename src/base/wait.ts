import type { Clock } from './clock.js'

/** A wait that can be cut short, also before it has begun: what ends it may come first. */
export class Wait {
  #isOver = false
  #wake: () => void = () => {}

  cutShort(): void {
    this.#isOver = true
    this.#wake()
  }

  /** After `ms`, or as soon as it is cut short. Whether it was. */
  within(ms: number, clock: Clock): Promise<boolean> {
    return new Promise(resolve => {
      if (this.#isOver) return resolve(true)
      const cancel = clock.after(Math.max(1, ms), () => resolve(false))
      this.#wake = () => {
        cancel()
        resolve(true)
      }
    })
  }
}

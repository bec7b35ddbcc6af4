import { oneOf, whole } from '../base/checks.js'

/** How long the other side has to answer a closing, in ms. */
const CLOSING_TAKES = 1_000

export type OnSlow = 'skip' | 'close'

export function checkPatience({ highWater, onSlow }: { highWater: number; onSlow: OnSlow }): void {
  whole('highWater', highWater, Number.MAX_SAFE_INTEGER, 0)
  oneOf('onSlow', onSlow, ['skip', 'close'])
}

/** Who does not read would keep a closing open for ever. `onClosed` tells when that is not needed any more. */
export function endInTime(end: () => void, onClosed: (closed: () => void) => void): void {
  const timer = setTimeout(end, CLOSING_TAKES)
  timer.unref()
  onClosed(() => clearTimeout(timer))
}

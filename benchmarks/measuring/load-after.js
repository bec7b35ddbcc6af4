// @ts-check

/** ms. What is shorter holds too few commands to be compared. */
const WINDOW = 50
const BACK_WITHIN = 2

/**
 * How many commands a request needs before and after a moment. Each request counts, not each second: a machine that has other
 * things to do makes requests wait, and then come at once.
 *
 * @param {{ commands: readonly number[], requests: readonly number[] }} times ms
 * @param {{ moment: number, before: number, after: number }} period ms of it that are looked at
 */
export function loadAfter({ commands, requests }, { moment, before, after }) {
  /**
   * @param {number} from
   * @param {number} length
   */
  const countsIn = (from, length) => {
    const isIn = (/** @type {number} */ time) => time >= from && time < from + length
    return { sent: commands.filter(isIn).length, asked: requests.filter(isIn).length }
  }
  /** @param {{ sent: number, asked: number }} counts */
  const perRequest = ({ sent, asked }) => sent / asked
  const usual = perRequest(countsIn(moment - before, before))
  const { sent, asked } = countsIn(moment, after)
  const windows = Array.from({ length: Math.floor(after / WINDOW) }, (_, index) =>
    perRequest(countsIn(moment + index * WINDOW, WINDOW)),
  )
  return {
    usual,
    extra: sent - usual * asked,
    most: Math.max(...windows.filter(Number.isFinite)),
    backAfter: backAfter(windows, usual * BACK_WITHIN),
  }
}

/**
 * ms until two windows in a row were small enough: one alone may be chance. All of the time if none were.
 *
 * @param {readonly number[]} windows
 * @param {number} enough
 */
function backAfter(windows, enough) {
  const index = windows.findIndex(
    (window, index) => window <= enough && (windows[index + 1] ?? Number.POSITIVE_INFINITY) <= enough,
  )
  return (index === -1 ? windows.length : index) * WINDOW
}

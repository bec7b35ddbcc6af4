// @ts-check
// A page without scripts does not know the time zone of its reader. So it says how long ago, and UTC for the rest.
import { html } from './html.js'

const UNITS = /** @type {const} */ ([
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
])
const words = new Intl.RelativeTimeFormat('en')

/** @param {number} at */
export function ago(at) {
  const passed = Date.now() - at
  const [unit, length] = UNITS.find(([, length]) => passed >= length) ?? []
  return html`<time datetime="${iso(at)}" title="${iso(at)}">${
    unit && length ? words.format(-Math.floor(passed / length), unit) : 'just now'
  }</time>`
}

/**
 * The time of day. Rounded up, so that what has happened "by" then really has.
 *
 * @param {number} at
 */
export function clock(at) {
  const full = Math.ceil(at / 1000) * 1000
  return html`<time datetime="${iso(full)}">${iso(full).slice(11, 19)} UTC</time>`
}

/** @param {number} at */
function iso(at) {
  return new Date(at).toISOString()
}

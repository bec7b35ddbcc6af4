// @ts-check

const MOST_TICKS = 6

/**
 * Where a value stands on an axis that is so long, and what is written along it.
 *
 * @typedef {object} Scale
 * @property {(value: number) => number} lengthOf
 * @property {readonly number[]} ticks
 */

/**
 * From nothing to the greatest.
 *
 * @param {number} most
 * @param {number} length
 * @returns {Scale}
 */
export function linearScale(most, length) {
  const rough = most / MOST_TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * /** @type {number} */ ([1, 2, 5, 10].find(factor => factor * power >= rough))
  return {
    lengthOf: value => Math.max(0, (length * value) / most),
    ticks: Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step),
  }
}

/**
 * From the power of ten below the least.
 *
 * @param {number} least
 * @param {number} most
 * @param {number} length
 * @returns {Scale}
 */
export function logarithmicScale(least, most, length) {
  const lowest = Math.floor(Math.log10(least))
  const lengthOf = (/** @type {number} */ value) =>
    value <= 10 ** lowest ? 0 : (length * (Math.log10(value) - lowest)) / (Math.log10(most) - lowest)
  const powers = Math.floor(Math.log10(most)) - lowest
  return { lengthOf, ticks: Array.from({ length: powers + 1 }, (_, index) => 10 ** (lowest + index)) }
}

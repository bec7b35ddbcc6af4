// @ts-check

/** A number with as many digits as are worth reading. @param {number} value */
export function short(value) {
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(Math.abs(value) < 1 ? 2 : 3)
}

/** A place on an axis. @param {string | number} at */
export function placed(at) {
  return typeof at === 'number' ? at.toLocaleString('en-US') : at
}

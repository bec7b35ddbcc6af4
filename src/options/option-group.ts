import { invalid, isObject, withoutSecret } from '../base/checks.js'
import { type GroupName, NAMES } from './names.js'

/** An option that is false or an object of its own. `unset` is what leaving it out stands for. */
export function group<T extends object>(
  name: GroupName,
  value: false | undefined | T,
  unset: false | T,
): false | T {
  const given = value === undefined ? unset : value
  if (given === false || isObject(given)) return given
  throw invalid(name, withoutSecret(given), formOf(name))
}

export function formOf(name: GroupName): string {
  return `false or { ${NAMES[name].join(', ')} }`
}

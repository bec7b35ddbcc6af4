import { OptionError } from './errors.js'

type Kind = 'a function' | 'an AbortSignal' | 'true or false' | 'anything'

const IS: Record<Kind, (value: unknown) => boolean> = {
  'a function': value => typeof value === 'function',
  // Not every one is of this realm.
  'an AbortSignal': value => typeof value === 'object' && value !== null && 'aborted' in value,
  'true or false': value => typeof value === 'boolean',
  anything: () => true,
}

/** Refuses what a call does not take: an option that is misspelt must not pass for one that was left out. */
export function checkCallOptions(call: string, options: unknown, kinds: Record<string, Kind>): void {
  const names = Object.keys(kinds).join(', ')
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new OptionError(
      `${call}: got ${options === null ? 'null' : typeof options}, allowed is an object with ${names}`,
    )
  }
  // It has no options of its own, and would pass for an object without any.
  if ('then' in options) throw new OptionError(`${call}: got a promise, allowed is what it resolves with`)
  for (const [name, value] of Object.entries(options)) {
    const kind = kinds[name]
    if (!kind) throw new OptionError(`${call}: got the option '${name}', allowed are ${names}`)
    if (value !== undefined && !IS[kind](value)) {
      throw new OptionError(`${call}: ${name}: got ${typeof value}, allowed is ${kind}`)
    }
  }
}

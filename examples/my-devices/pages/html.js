// @ts-check

/** Text that is HTML already. Only `html` makes it, so what came from outside is never taken for it. */
class Html {
  /** @param {string} text */
  constructor(text) {
    this.text = text
  }
}

/**
 * Use it in front of a template: every value in it is shown as text, whatever it looks like. Attributes need quotes.
 *
 * @param {TemplateStringsArray} strings
 * @param {unknown[]} values
 */
export function html(strings, ...values) {
  return new Html(
    strings.map((text, index) => text + (index < values.length ? show(values[index]) : '')).join(''),
  )
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function show(value) {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(show).join('')
  if (value === undefined || value === null || value === false) return ''
  return String(value).replace(/[&<>"'`]/g, character => `&#${character.charCodeAt(0)};`)
}

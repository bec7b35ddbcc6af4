import type { Json, JsonObject } from '../base/json.js'

/** How the text of a session becomes an object. */
export interface Parsing {
  parse(text: string): object
  /** Whether what comes out is JSON and nothing else, and may be copied as such. */
  readonly isJson: boolean
}

/** Text, and the way to read it. */
class Unparsed {
  readonly text: string
  readonly parsing: Parsing

  constructor(text: string, parsing: Parsing) {
    this.text = text
    this.parsing = parsing
  }
}

/**
 * One state of a session as Redis holds it. Built from the text that was read or sent, never from an object that the
 * app can reach, and handed out as fresh copies only: of JSON by copying, which is faster than parsing it again; of what
 * may hold Dates, Maps or instances of classes by parsing the text.
 */
export class Snapshot {
  /** The text, or the JSON that was in it: never both, which would take twice the memory. */
  #content: Unparsed | object

  constructor(text: string, parsing: Parsing)
  constructor(other: Snapshot)
  constructor(from: string | Snapshot, parsing?: Parsing) {
    this.#content = typeof from === 'string' ? new Unparsed(from, parsing as Parsing) : from.#content
  }

  /** Never handed to the app. Parsed when first asked for; JSON is then kept in place of the text. */
  get data(): object {
    const content = this.#content
    if (!(content instanceof Unparsed)) return content
    const { text, parsing } = content
    const data = parsing.parse(text)
    if (parsing.isJson) this.#content = data
    return data
  }

  /** Whether the text is one of a session at all. */
  get isReadable(): boolean {
    try {
      return this.data !== undefined
    } catch {
      return false
    }
  }

  copy(): object {
    const { data } = this
    return this.#content === data ? copyOf(data as JsonObject) : data
  }
}

/** Not by recursion: what others have stored may be nested deeper than any stack. */
function copyOf(object: JsonObject): JsonObject {
  const copy = shallowCopyOf(object)
  const open: (Json[] | JsonObject)[] = [copy]
  const nested = (value: Json[] | JsonObject): Json => {
    const inner = Array.isArray(value) ? value.slice() : { ...value }
    open.push(inner)
    return inner
  }
  // Assigning to a key that is already there cannot reach a setter.
  for (let outer = open.pop(); outer; outer = open.pop()) {
    if (Array.isArray(outer)) {
      for (let index = 0; index < outer.length; index++) {
        const value = outer[index] as Json
        if (typeof value === 'object' && value !== null) outer[index] = nested(value)
      }
    } else {
      for (const key in outer) {
        const value = outer[key] as Json
        if (typeof value === 'object' && value !== null) outer[key] = nested(value)
      }
    }
  }
  return copy
}

/**
 * Not a spread, though that is faster: to what comes out of one the engine adds a field, as the mark of its sighting, only in
 * twenty times the time. But a spread defines each key, also one named `__proto__`, where `assign` would set the prototype.
 */
function shallowCopyOf(object: JsonObject): JsonObject {
  return Object.hasOwn(object, '__proto__') ? { ...object } : Object.assign({}, object)
}

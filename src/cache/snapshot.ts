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

/** Down to here by recursion, which is faster. What others have stored may be nested deeper than any stack. */
const DEEP = 32

function copyOf(object: JsonObject): JsonObject {
  return copyNested(shallowCopyOf(object), 0)
}

/** Makes what is inside of a copy a copy, too. Assigning to a key that is already there cannot reach a setter. */
function copyNested<Copy extends Json[] | JsonObject>(copy: Copy, depth: number): Copy {
  if (depth === DEEP) return copyNestedDeeper(copy)
  if (Array.isArray(copy)) {
    for (let index = 0; index < copy.length; index++) {
      const value = copy[index] as Json
      if (typeof value === 'object' && value !== null) copy[index] = copyNested(shallow(value), depth + 1)
    }
  } else {
    for (const key in copy) {
      const value = (copy as JsonObject)[key] as Json
      if (typeof value === 'object' && value !== null)
        (copy as JsonObject)[key] = copyNested(shallow(value), depth + 1)
    }
  }
  return copy
}

/** The same without recursion, for whatever is left. */
function copyNestedDeeper<Copy extends Json[] | JsonObject>(copy: Copy): Copy {
  const open: (Json[] | JsonObject)[] = [copy]
  for (let outer = open.pop(); outer; outer = open.pop()) {
    for (const key of Object.keys(outer)) {
      const value = (outer as JsonObject)[key] as Json
      if (typeof value !== 'object' || value === null) continue
      const inner = shallow(value)
      open.push(inner)
      ;(outer as JsonObject)[key] = inner
    }
  }
  return copy
}

function shallow(value: Json[] | JsonObject): Json[] | JsonObject {
  return Array.isArray(value) ? value.slice() : { ...value }
}

/**
 * Not a spread, though that is faster: to what comes out of one the engine adds a field, as the mark of its sighting, only in
 * twenty times the time. But a spread defines each key, also one named `__proto__`, where `assign` would set the prototype.
 */
function shallowCopyOf(object: JsonObject): JsonObject {
  return Object.hasOwn(object, '__proto__') ? { ...object } : Object.assign({}, object)
}

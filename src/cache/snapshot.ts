import type { Json, JsonObject } from '../base/json.js'

/** How the text of a session becomes an object. */
export interface Parsing {
  parse(text: string): object
  /** Whether what comes out is JSON and nothing else, and may be copied as such. */
  readonly isJson: boolean
}

/**
 * One state of a session as Redis holds it. Built from the text that was read or sent, never from an object that the
 * app can reach, and handed out as fresh copies only: of JSON by copying, which is faster than parsing it again; of what
 * may hold Dates, Maps or instances of classes by parsing the text.
 */
export class Snapshot {
  #text: string | undefined
  #data: object | undefined
  readonly #parsing: Parsing

  constructor(text: string, parsing: Parsing) {
    this.#text = text
    this.#parsing = parsing
  }

  /** Never handed to the app. Parsed when first asked for; JSON is then kept in place of the text. */
  get data(): object {
    if (this.#data !== undefined) return this.#data
    const data = this.#parsing.parse(this.#text as string)
    if (!this.#parsing.isJson) return data
    this.#data = data
    this.#text = undefined
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
    return this.#parsing.isJson ? copyObject(data as JsonObject) : data
  }
}

function copyObject(object: JsonObject): JsonObject {
  // A spread defines each key, also one named `__proto__`; assigning to a key that is already there cannot reach a setter.
  const copy = { ...object }
  for (const key in copy) {
    const value = copy[key] as Json
    if (typeof value === 'object' && value !== null) copy[key] = copyNested(value)
  }
  return copy
}

function copyNested(value: Json[] | JsonObject): Json {
  if (!Array.isArray(value)) return copyObject(value)
  return value.map(element =>
    typeof element === 'object' && element !== null ? copyNested(element) : element,
  )
}

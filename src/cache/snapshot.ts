import type { Json, JsonObject } from '../base/json.js'

/**
 * One state of a session as Redis holds it. Built from the bytes that were read or sent, never from an object that the
 * app can reach, and handed out as fresh copies only.
 */
export class Snapshot {
  #text: string | undefined
  #data: JsonObject | undefined
  readonly #decode: (text: string) => JsonObject

  constructor(text: string, decode: (text: string) => JsonObject) {
    this.#text = text
    this.#decode = decode
  }

  /** Never handed to the app. Decoded when first asked for, then kept in place of the text. */
  get data(): JsonObject {
    if (this.#data === undefined) {
      this.#data = this.#decode(this.#text as string)
      this.#text = undefined
    }
    return this.#data
  }

  copy(): JsonObject {
    return copyObject(this.data)
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

import { SessionError } from '../base/errors.js'
import { type CheckedSerializer, checkReadable } from '../codec/serializer.js'

/** What is stored of a session: as text, readable again, and not too large. */
export class SessionText {
  readonly serializer: CheckedSerializer
  readonly #maxBytes: number

  constructor(serializer: CheckedSerializer, maxSessionBytes: number) {
    this.serializer = serializer
    this.#maxBytes = maxSessionBytes
  }

  of(session: object): string {
    const text = this.serializer.stringify(session)
    this.#checkSize(text)
    checkReadable(text, this.serializer)
    return text
  }

  #checkSize(text: string): void {
    // A UTF-16 unit takes at most three bytes, so most sessions need no count.
    if (text.length * 3 <= this.#maxBytes) return
    const bytes = Buffer.byteLength(text)
    if (bytes > this.#maxBytes) {
      throw new SessionError(`The session takes ${bytes} bytes; maxSessionBytes allows ${this.#maxBytes}`)
    }
  }
}

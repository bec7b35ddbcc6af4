import { RefusedError, SessionError } from '../base/errors.js'
import type { Snapshot } from '../cache/snapshot.js'
import { alignExpiry, bodyOf, sameMaxAge } from '../codec/record.js'
import type { SessionText } from './session-text.js'

/** Makes one session of what a request had been given, what it made of that, and what has been saved in between. */
export type Merge = (base: never, mine: never, theirs: never) => object

/** What becomes of a save when another has changed the session since it was read. */
export class Conflicts {
  readonly #policy: 'reject' | Merge
  readonly #text: SessionText

  constructor(policy: 'reject' | Merge, text: SessionText) {
    this.#policy = policy
    this.#text = text
  }

  /** Whether there is anything to be done about one. */
  get merges(): boolean {
    return this.#policy !== 'reject'
  }

  /** The text to be saved instead of `mine`. Throws RefusedError where conflicts are not to be resolved. */
  resolve(base: Snapshot, mine: string, theirs: Snapshot): string {
    const { serializer } = this.#text
    const own = serializer.parse(mine)
    // Who only prolonged the session has nothing to say about what is in it.
    if (this.#same(base.data, own)) return this.#text.of(theirs.copy())
    if (this.#policy === 'reject') throw new RefusedError('conflict')
    const [before, other] = [base.copy(), theirs.copy()]
    // When a session ends is what Redis says, and no change of anybody's.
    alignExpiry(before, own)
    alignExpiry(other, own)
    let merged: unknown
    try {
      merged = this.#policy(before as never, own as never, other as never)
    } catch (cause) {
      throw new SessionError('conflicts: the function threw', cause)
    }
    if (
      typeof merged === 'object' &&
      merged !== null &&
      typeof (merged as PromiseLike<unknown>).then !== 'function'
    ) {
      return this.#text.of(merged)
    }
    if (merged instanceof Promise) merged.catch(() => {})
    throw new SessionError('conflicts: the function must answer at once with a session')
  }

  /** Whether only time went by between the two. */
  areSame(one: Snapshot, other: Snapshot): boolean {
    return this.#same(one.data, other.data)
  }

  #same(one: object, other: object): boolean {
    const { serializer } = this.#text
    return sameMaxAge(one, other, 0) && bodyOf(one, serializer) === bodyOf(other, serializer)
  }
}

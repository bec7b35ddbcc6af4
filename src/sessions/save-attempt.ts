import { RefusedError } from '../base/errors.js'
import type { Entry } from '../cache/entry.js'
import { Snapshot } from '../cache/snapshot.js'
import { maxAgeOf } from '../codec/record.js'
import type { Full, IndexEntry } from '../indexes/index-entries.js'
import type { SessionRef } from '../redis/session-names.js'
import type { Conflicts } from './conflicts.js'
import type { Lifetimes } from './lifetimes.js'
import type { Room } from './session-limit.js'
import type { StoredSession } from './session-reader.js'
import { NOTHING } from './session-repository.js'
import type { SessionText } from './session-text.js'
import type { Sighting } from './sighting.js'

/** When a session that is written is to end. */
export interface WrittenEnd {
  /** From now, in milliseconds, as Redis is told. */
  px: number
  /** Leave it where it is if the session is there. */
  keepEnd: boolean
  /** As the app said it, in ms since the epoch, if it did. */
  endsAt: number | undefined
  /** How long a session lives, in ms, where that follows from what is in it. */
  ttlOf: ((session: object) => number) | undefined
}

/** A save as it was asked for. */
export interface Write {
  readonly ref: SessionRef
  readonly sighting: Sighting
  /** What the app has made of the session. */
  readonly text: string
  readonly created: number
  readonly end: WrittenEnd
  /** It may be there under its id, as far as the caller or this node knows. */
  readonly wasThere: boolean
  /** It was found gone and has nothing new to say: if it is there after all, another has said more. */
  readonly onlyIfGone: boolean
  /** What this node held of it when the write began. */
  readonly held: Entry | undefined
  readonly until: number
}

interface SaveAttemptParts {
  /** Undefined where the last writer wins. */
  conflicts: Conflicts | undefined
  lifetimes: Lifetimes
  text: SessionText
}

/** A save as it is sent: what was found in its way changes it before it is sent again. */
export class SaveAttempt {
  text: string
  snapshot: Snapshot
  end: WrittenEnd
  /** What it knows of a destroy. */
  tombstone: string
  /** What it may replace; empty for anything. */
  expected = ''
  /** The record by which the session has its place in its indexes; empty if that is known otherwise. */
  known: string
  /** What does not count in an index, by its key. */
  readonly discounted = new Map<string, readonly IndexEntry[]>()
  /** The indexes, by their keys, in which the session was found to have its place. */
  readonly kept = new Set<string>()
  readonly #write: Write
  readonly #parts: SaveAttemptParts
  #named = false

  constructor(write: Write, parts: SaveAttemptParts) {
    const { sighting, held, text, end } = write
    this.#write = write
    this.#parts = parts
    this.text = text
    this.snapshot = new Snapshot(text, parts.text.serializer)
    this.end = end
    this.tombstone = sighting.tombstone
    this.known = sighting.entry?.digest ?? held?.digest ?? ''
    if (parts.conflicts) this.expected = sighting.entry?.digest ?? ''
    if (write.onlyIfGone) this.expected = NOTHING
  }

  /** Before it is sent: `latest` is what another save of this node has just written. True if that is a conflict. */
  startAfter(latest: Entry | undefined): boolean {
    const { sighting, onlyIfGone } = this.#write
    const { base, entry: known } = sighting
    const { conflicts } = this.#parts
    if (onlyIfGone) return false
    if (conflicts?.merges && latest && known && latest !== known && latest.seenAt >= known.seenAt) {
      // What it wrote need not be asked for. If something else stands there, the script will say so.
      this.expected = latest.digest
      this.#merge(latest)
      return true
    }
    // An earlier save was merged: the app's copy does not hold what others have put in.
    if (base && known && known !== base) this.#merge(known)
    return false
  }

  /** It has run into this, and may replace it: once, for another is of a destroy that came later. */
  name(tombstone: string): boolean {
    if (this.#named) return false
    this.#named = true
    this.tombstone = tombstone
    return true
  }

  /** Somebody else has saved the session since it was read. */
  meet({ record, digest, unreadable }: StoredSession): void {
    const { conflicts, text } = this.#parts
    if (unreadable !== undefined) throw new RefusedError('conflict')
    // Gone meanwhile: whether that is a reason to refuse the save, the script knows.
    if (!record) return
    this.expected = digest
    const theirs = new Snapshot(record.text, text.serializer)
    if (!theirs.isReadable) throw new RefusedError('conflict')
    // It may be this very save, sent again after a lost connection.
    if (conflicts?.areSame(this.snapshot, theirs)) return
    // What it was merged with may have been older than what stands there.
    const { sighting, text: mine, end } = this.#write
    this.text = mine
    this.snapshot = new Snapshot(mine, text.serializer)
    this.end = end
    // What was read may only have been written anew, under another key.
    if (sighting.base && !conflicts?.areSame(sighting.base, theirs)) this.#merge(theirs)
  }

  /** An index was full, and there is room in it now. */
  takePlace({ place }: Full, room: Room): void {
    const { key } = place.at
    if ('keptBy' in room) {
      this.kept.add(key)
      // Another may save the session as somebody else's meanwhile.
      this.known = room.keptBy
    } else {
      this.discounted.set(key, room.discounted)
    }
  }

  #merge(theirs: Snapshot): void {
    const { sighting, text, created, end } = this.#write
    const { conflicts, lifetimes, text: texts } = this.#parts
    if (!conflicts || !sighting.base) return
    this.text = conflicts.resolve(sighting.base, text, theirs)
    this.snapshot = new Snapshot(this.text, texts.serializer)
    if (end.ttlOf) {
      const ttl = Math.max(1, end.ttlOf(this.snapshot.copy()))
      this.end = { ...end, px: lifetimes.px(ttl, created), keepEnd: false }
      return
    }
    const maxAge = maxAgeOf(this.snapshot.data)
    // How long it is to live is for whoever has changed it to say.
    const asMine = maxAge === undefined || maxAge === maxAgeOf(new Snapshot(text, texts.serializer).data)
    this.end = asMine ? end : { ...end, px: lifetimes.px(maxAge, created), keepEnd: false }
  }
}

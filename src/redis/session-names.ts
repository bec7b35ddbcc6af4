import { OptionError, SessionError } from '../base/errors.js'
import {
  ALGORITHM,
  fullHandleText,
  hashOf,
  idBehind,
  isHandleText,
  isShortHandleText,
  SessionHandle,
  shortHandleText,
  withoutTag,
} from '../base/session-handle.js'
import { checkId } from '../base/session-id.js'
import { type Keyspace, OWN } from './keyspace.js'

/** Goes in front of an id that looks in an index like the text of a handle. */
const NO_HASH = '='

export type IdHashing = false | 'adopt' | true

/** One session, as everything below the frameworks' contracts knows it. */
export interface SessionRef {
  /** What memory and messages call it: its id, or where ids are hashed the text of its handle. */
  readonly name: string
  /** Its id, where more than the hash of it is known. */
  readonly id: string | undefined
}

/** The keys of a session. */
export interface Places {
  /** Session key and tombstone key, for each name; what stands under the first is what counts. */
  readonly keys: readonly string[]
  /** Which of the keys to write under, counted from one as Lua does. */
  readonly target: number
}

/**
 * What a session is called: in Redis, in memory and on the channel.
 *
 * Where ids are hashed a session may stand under its id or under the hash of it, and nodes of two neighbouring phases
 * run side by side:
 *
 *   false     reads and writes the plain key, and publishes ids
 *   'adopt'   reads both keys and writes the plain one; publishes ids and hashes, destroys under both
 *   true      reads and writes the hashed key, and publishes hashes
 *
 * With `true` an id is named to Redis only where its session is not, or may not be, under its hash, since MONITOR shows what
 * is named. Both keys lie in one slot, so that a script that gets both sees them in one step, and a
 * session that is written under one name is gone from the other.
 */
export class SessionNames {
  /** How often a session was met, or heard of, that stands under its id. */
  plainMet = 0
  /** False once it is known that none does, until one is met again. */
  plainMayStand = true
  readonly #keyspace: Keyspace
  readonly #hashing: IdHashing

  constructor(keyspace: Keyspace, hashing: IdHashing) {
    this.#keyspace = keyspace
    this.#hashing = hashing
    if (hashing !== false && keyspace.isCluster && /^[^{]*\{\}/.test(keyspace.start)) {
      throw new OptionError(
        `prefix: got '${keyspace.start}', allowed with hashIds on Redis Cluster is one without empty braces: no two keys that start with it can be put into one slot`,
      )
    }
  }

  /** Throws if there can be no session of this id. */
  check(id: unknown): asserts id is string {
    checkId(id)
    if (!this.#keyspace.isOwn(id)) return
    throw new SessionError(
      `A session id must not make a key that starts with '${OWN}', as the store's own keys do; with another prefix none does`,
    )
  }

  nameOf(id: string): string {
    return this.#hashing === false ? id : this.#keyspace.tagOf(id) + hashOf(id)
  }

  refOf(id: string): SessionRef {
    return { name: this.nameOf(id), id }
  }

  handleOf(id: string): SessionHandle {
    this.check(id)
    return new SessionHandle(this.#keyspace.tagOf(id) + hashOf(id), id)
  }

  /** Of its id, or of the text of its handle. */
  refOfName(name: string): SessionRef {
    return isHandleText(name) ? this.refOfHandle(SessionHandle.from(name)) : this.refOf(name)
  }

  refOfHandle(handle: SessionHandle): SessionRef {
    if (this.#hashing === false) {
      throw new OptionError('hashIds: got a SessionHandle while it is off, allowed is the session id')
    }
    return { name: String(handle), id: idBehind(handle) }
  }

  refOfEither(given: string | SessionHandle): SessionRef {
    if (given instanceof SessionHandle) return this.refOfHandle(given)
    this.check(given)
    return this.refOf(given)
  }

  /** Whether a session may change its name: a walk over the keys may then miss one that does. */
  get moving(): boolean {
    return this.#hashing !== false
  }

  /** The session in a key as SCAN reports it, or undefined if the key is one of ours that the pattern caught too. */
  refOfKey(scanned: string): SessionRef | undefined {
    const rest = this.#keyspace.idOf(scanned)
    if (rest === undefined) return undefined
    if (isHandleText(rest)) return { name: rest, id: undefined }
    this.meetPlain()
    return this.refOf(rest)
  }

  meetPlain(): void {
    this.plainMet++
    this.plainMayStand = true
  }

  /** How an app is told of a session; undefined for one that is hashed while `hashIds` is off, which it cannot reach. */
  shown(ref: SessionRef): string | SessionHandle | undefined {
    return this.#hashing === false ? ref.id : new SessionHandle(ref.name, ref.id)
  }

  /** Wherever it may stand. */
  placesOf({ name, id }: SessionRef): Places {
    if (id === undefined || id === name) return this.#under(name)
    const [session, tombstone] = this.#under(name).keys as [string, string]
    const plain = this.#keyspace.session(id)
    // Nodes that know plain names only look for a plain tombstone; they do not run beside those that hash.
    return this.#hashing === true
      ? { keys: [session, tombstone, plain, tombstone], target: 1 }
      : { keys: [session, tombstone, plain, this.#keyspace.tombstone(id)], target: 3 }
  }

  /** Where it is looked for before its id is named; undefined if there is no such place. */
  firstPlaceOf({ name, id }: SessionRef): Places | undefined {
    return this.#hashing === true && id !== undefined ? this.#under(name) : undefined
  }

  /** How many sessions one script may be about: its keys must lie in one slot, and those of two sessions hardly ever do. */
  mostTogether(most: number): number {
    return this.#keyspace.isCluster ? 1 : most
  }

  #under(name: string): Places {
    return { keys: [this.#keyspace.session(name), this.#keyspace.tombstone(name)], target: 1 }
  }

  /** What is published of it: every name that a node listening may know it by. */
  published({ name, id }: SessionRef): string[] {
    return id === undefined || id === name || this.#hashing === true ? [name] : [id, name]
  }

  /** The name of a session that another node has published. */
  heard(published: string): string {
    if (isHandleText(published)) return published
    this.meetPlain()
    return this.nameOf(published)
  }

  /**
   * What an index calls it: what it stands under when it is written. Of a hash only the digits, since Redis keeps sets of
   * longer members in several times the memory; so what could be taken for a hash is marked.
   */
  memberOf({ name, id }: SessionRef): string {
    return memberFor(this.#hashing === 'adopt' && id !== undefined ? id : name)
  }

  /** What an index calls the session in a key as SCAN reports it: by this it is found where it stands. */
  memberOfKey(scanned: string): string {
    return memberFor(this.#keyspace.idOf(scanned) ?? '')
  }

  /** What an index may have called it in the phase before; undefined if it is known to call nothing so. */
  formerMemberOf({ id }: SessionRef): string | undefined {
    return this.#hashing === true && this.plainMayStand && id !== undefined ? memberFor(id) : undefined
  }

  refOfMember(member: string): SessionRef {
    if (isShortHandleText(member)) return { name: fullHandleText(member), id: undefined }
    return this.refOf(member.startsWith(NO_HASH) ? member.slice(NO_HASH.length) : member)
  }

  /** What most members stand for begins with this. */
  get beginning(): string {
    return this.#hashing === false ? '' : ALGORITHM
  }

  /** Whether a member with that beginning is the one name that its session can have. */
  isWhole(ref: SessionRef, member: string): boolean {
    return hasOneName(ref) && ref.name === this.beginning + member
  }

  /** Whether two names are of one session, also where one was made for another kind of Redis. */
  areSame(one: string, other: string): boolean {
    return withoutTag(one) === withoutTag(other)
  }

  /** What an encrypted record is bound to: the session, under whichever name it stands. */
  bindingOf({ name, id }: SessionRef): string {
    return this.#keyspace.start + (id === undefined ? withoutTag(name) : hashOf(id))
  }
}

function memberFor(text: string): string {
  if (isHandleText(text)) return shortHandleText(text)
  return isShortHandleText(text) || text.startsWith(NO_HASH) ? NO_HASH + text : text
}

function hasOneName({ name, id }: SessionRef): boolean {
  return id === undefined || id === name
}

import { OptionError } from '../base/errors.js'
import { hashOf, idBehind, isHandleText, SessionHandle } from '../base/session-handle.js'
import type { Keyspace } from './keyspace.js'

export type IdHashing = false | 'adopt' | true

/** One session, as everything below the frameworks' contracts knows it. */
export interface SessionRef {
  /** What memory and messages call it: its id, or where ids are hashed the text of its handle. */
  readonly name: string
  /** Its id, where more than the hash of it is known. */
  readonly id: string | undefined
}

/**
 * What a session is called: in Redis, in memory and on the channel.
 *
 * Where ids are hashed a session may stand under its id or under the hash of it, and nodes of two neighbouring phases
 * run side by side:
 *
 *   false     reads and writes the plain key, and publishes ids
 *   'adopt'   reads both keys and writes the plain one; publishes and destroys both
 *   true      reads both keys and writes the hashed one; publishes hashes, destroys both
 *
 * Both keys lie in one slot, so that every script sees both in one step, and a session that is written under one name
 * is gone from the other.
 */
export class SessionNames {
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

  nameOf(id: string): string {
    return this.#hashing === false ? id : this.#keyspace.tagOf(id) + hashOf(id)
  }

  refOf(id: string): SessionRef {
    return { name: this.nameOf(id), id }
  }

  handleOf(id: string): SessionHandle {
    return new SessionHandle(this.#keyspace.tagOf(id) + hashOf(id), id)
  }

  refOfHandle(handle: SessionHandle): SessionRef {
    if (this.#hashing === false) {
      throw new OptionError('hashIds: got a SessionHandle while it is off, allowed is the session id')
    }
    return { name: String(handle), id: idBehind(handle) }
  }

  /** The session in a key as SCAN reports it, or undefined if the key is one of ours that the pattern caught too. */
  refOfKey(scanned: string): SessionRef | undefined {
    const rest = this.#keyspace.idOf(scanned)
    if (rest === undefined) return undefined
    return isHandleText(rest) ? { name: rest, id: undefined } : this.refOf(rest)
  }

  /** How an app is told of a session; undefined for one that is hashed while `hashIds` is off, which it cannot reach. */
  shown(ref: SessionRef): string | SessionHandle | undefined {
    return this.#hashing === false ? ref.id : new SessionHandle(ref.name, ref.id)
  }

  /** Session key and tombstone key, of each name it may have; the one under which it is written comes first. */
  keysOf({ name, id }: SessionRef): string[] {
    const names = id === undefined || id === name ? [name] : this.#hashing === true ? [name, id] : [id, name]
    return names.flatMap(each => [this.#keyspace.session(each), this.#keyspace.tombstone(each)])
  }

  /** What is published of it: every name that a node listening may know it by. */
  published({ name, id }: SessionRef): string[] {
    return id === undefined || id === name || this.#hashing === true ? [name] : [id, name]
  }

  /** The name of a session that another node has published. */
  heard(published: string): string {
    return isHandleText(published) ? published : this.nameOf(published)
  }

  /** What an encrypted record is bound to: the session, under whichever name it stands. */
  bindingOf({ name, id }: SessionRef): string {
    return this.#keyspace.start + (id === undefined ? name.replace(/^\{\d+\}/, '') : hashOf(id))
  }
}

import calculateSlot from 'cluster-key-slot'
import { OptionError } from '../base/errors.js'
import { SlotFinder } from './slot-finder.js'

/** Everything of ours that is not a session starts with this. */
export const OWN = 'crs:'

/** Where the names stand. */
interface Place {
  clientPrefix: string
  database: number
  isCluster: boolean
  servers: string
}

/**
 * Every name in Redis. Names of keys are as the client wants them: it puts its own `keyPrefix` in front. A channel knows
 * neither the client's prefix nor the database, so its name carries both.
 */
export class Keyspace {
  readonly channel: string
  /** Tells apart the sessions of different stores in one process. */
  readonly space: string
  /** What every key of a session starts with. */
  readonly start: string
  readonly isCluster: boolean
  readonly #clientPrefix: string
  readonly #prefix: string
  readonly #probes: SlotFinder
  readonly #tombstones: SlotFinder
  readonly #tags: SlotFinder

  constructor(place: Place, prefix: string, channel?: string) {
    this.#clientPrefix = place.clientPrefix
    this.#prefix = prefix
    this.isCluster = place.isCluster
    this.start = place.clientPrefix + prefix
    this.space = `${place.servers}/${place.database}/${this.start}`
    if (place.isCluster && /^[^{]*\{\}/.test(place.clientPrefix)) {
      throw new OptionError(
        `redis: got a cluster client with the keyPrefix '${place.clientPrefix}', allowed is one without empty braces: no two keys that start with it can be put into one slot`,
      )
    }
    this.#probes = new SlotFinder(number => place.clientPrefix + probeKey(number))
    this.#tombstones = new SlotFinder(number => place.clientPrefix + numberedTombstone(number))
    this.#tags = new SlotFinder(number => `${this.start}{${number}}`)
    this.channel = channel ?? `${OWN}bus:${place.database}:${place.clientPrefix}${prefix}`
  }

  /** Whether the key of a session would be among our own, which a prefix allows that is empty or a beginning of theirs. */
  isOwn(id: string): boolean {
    return OWN.startsWith(this.#prefix) && (this.#prefix + id).startsWith(OWN)
  }

  session(id: string): string {
    return this.#prefix + id
  }

  /** Always in the slot of its session, and never among the keys that start with the prefix. */
  tombstone(id: string): string {
    const session = this.start + id
    if (!this.isCluster || !/[{}]/.test(session)) return `${OWN}tombstone:{${session}}`
    // Braces of its own keep the name from being a tag. A numbered tag in front finds the slot, whatever follows it.
    return `${numberedTombstone(this.#tombstones.exactly(calculateSlot(session)))}:${this.#prefix}${id}`
  }

  /** The sorted set of the sessions that have this value. Neither part can hold a colon, so that no two indexes share a key. */
  index(name: string, value: string): string {
    return `${OWN}index:1:${name}:${encodeURIComponent(value)}:${this.#prefix}`
  }

  /** What stands before the rest of a name in the key of its session, and before and after it in that of its tombstone. */
  around(beginning: string): [session: string, tombstone: string, after: string] {
    const session = this.start + beginning
    return [session, `${this.#clientPrefix}${OWN}tombstone:{${session}`, '}']
  }

  /** What goes in front of a hashed id, so that its key lies in the slot of the plain one. */
  tagOf(id: string): string {
    return this.isCluster ? `{${this.#tags.exactly(calculateSlot(this.start + id))}}` : ''
  }

  /** A key in a slot that is wanted, which no one ever writes; undefined if none of our keys can lie there. */
  probe(wanted: (slot: number) => boolean): string | undefined {
    if (!this.isCluster) return probeKey(0)
    const number = this.#probes.among(wanted)
    return number === undefined ? undefined : probeKey(number)
  }

  /** A SCAN pattern for the sessions: glob characters in the prefix stand for themselves. */
  get pattern(): string {
    return `${(this.#clientPrefix + this.#prefix).replace(/[\\*?[\]]/g, '\\$&')}*`
  }

  /** The session id in a key as SCAN reports it, or undefined if the key is one of ours that the pattern caught too. */
  idOf(scanned: string): string | undefined {
    const key = scanned.slice(this.#clientPrefix.length)
    return key.startsWith(OWN) ? undefined : key.slice(this.#prefix.length)
  }
}

function probeKey(number: number): string {
  return `${OWN}probe:{${number}}`
}

function numberedTombstone(number: number): string {
  return `${OWN}tombstone:{${number}}`
}

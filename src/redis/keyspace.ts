import calculateSlot from 'cluster-key-slot'

/** Everything of ours that is not a session starts with this. */
const OWN = 'crs:'

/**
 * Every name in Redis. Names of keys are as the client wants them: it puts its own `keyPrefix` in front. A channel knows
 * neither the client's prefix nor the database, so its name carries both.
 */
export class Keyspace {
  readonly channel: string
  readonly #clientPrefix: string
  readonly #prefix: string
  readonly #isCluster: boolean

  constructor(
    place: { clientPrefix: string; database: number; isCluster: boolean },
    prefix: string,
    channel?: string,
  ) {
    this.#clientPrefix = place.clientPrefix
    this.#prefix = prefix
    this.#isCluster = place.isCluster
    this.channel = channel ?? `${OWN}bus:${place.database}:${place.clientPrefix}${prefix}`
  }

  /** Tells apart the sessions of different stores in one process. */
  get space(): string {
    return `${this.#clientPrefix}${this.#prefix}`
  }

  session(id: string): string {
    return this.#prefix + id
  }

  /** Always in the slot of its session, and never among the keys that start with the prefix. */
  tombstone(id: string): string {
    const session = this.#clientPrefix + this.#prefix + id
    const name = `${OWN}tombstone:{${session}}`
    if (!this.#isCluster || !/[{}]/.test(session)) return name
    return this.#inSlotOf(session, [name, `${OWN}tombstone:${this.#prefix}${id}`], `${this.#prefix}${id}`)
  }

  /** `number` finds a slot of the wanted primary on Redis Cluster. */
  probe(number: number): string {
    return `${OWN}probe:{${number}}`
  }

  slotOf(key: string): number {
    return calculateSlot(this.#clientPrefix + key)
  }

  /** A SCAN pattern for the sessions: glob characters in the prefix stand for themselves. */
  get pattern(): string {
    return `${(this.#clientPrefix + this.#prefix).replace(/[\\*?[\]]/g, '\\$&')}*`
  }

  /** The session id in a key as SCAN reports it, or undefined if the key is one of ours that the pattern caught too. */
  idOf(scanned: string): string | undefined {
    const key = scanned.slice(this.#clientPrefix.length)
    return key.startsWith(OWN) && !this.#prefix.startsWith(OWN) ? undefined : key.slice(this.#prefix.length)
  }

  /**
   * Braces inside a key may move its slot, so candidates are checked, then numbered until one fits. The number goes in
   * front: wherever a tag begins that is not the session's own, it then holds the number, and another number another slot.
   */
  #inSlotOf(session: string, candidates: string[], key: string): string {
    const slot = calculateSlot(session)
    for (const candidate of candidates) {
      if (calculateSlot(this.#clientPrefix + candidate) === slot) return candidate
    }
    for (let number = 0; ; number++) {
      const candidate = `${OWN}tombstone:${number}:${key}`
      if (calculateSlot(this.#clientPrefix + candidate) === slot) return candidate
    }
  }
}

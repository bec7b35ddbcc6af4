import type { Moment } from '../base/clock.js'

/** While Redis is away, probes that nobody answers need not pile up: a successor tells just as much. */
const PROBES_KEPT = 64

interface Probe {
  readonly nonce: string
  readonly sentAt: Moment
  echoed: boolean
  confirmed: boolean
}

/**
 * Proof that a subscriber misses nothing.
 *
 * What Redis sends on one connection arrives in order. A probe publishes a nonce; when the nonce is heard, everything
 * published before it has been heard too. So whatever was published before the probe was sent is known here, and that
 * stays true however the connection fares afterwards: `heardSince` is the moment from which this node may be deaf.
 *
 * A probe counts when its nonce was heard and the answer of the script has confirmed who executed it; either may come
 * first. A nonce that arrives before an older one proves the opposite: something was lost.
 */
export class EchoLease {
  #probes: Probe[] = []
  #heardSince: Moment | undefined

  /** When the youngest probe that counts was sent. */
  get heardSince(): Moment | undefined {
    return this.#heardSince
  }

  /** When the oldest probe was sent that its server has executed but that was not heard yet. */
  get waitingSince(): Moment | undefined {
    return this.#probes.find(probe => probe.confirmed)?.sentAt
  }

  sent(nonce: string, at: Moment): void {
    this.#probes.push({ nonce, sentAt: at, echoed: false, confirmed: false })
    if (this.#probes.length > PROBES_KEPT) this.#probes.shift()
  }

  /** False if an older nonce was overtaken: messages were lost. */
  echoed(nonce: string): boolean {
    const index = this.#probes.findIndex(probe => probe.nonce === nonce)
    if (index === -1) return true
    const overtaken = this.#probes.slice(0, index).some(probe => !probe.echoed)
    const probe = this.#probes[index] as Probe
    probe.echoed = true
    this.#settle(probe)
    return !overtaken
  }

  confirmed(nonce: string): void {
    const probe = this.#probes.find(probe => probe.nonce === nonce)
    if (!probe) return
    probe.confirmed = true
    this.#settle(probe)
  }

  reset(): void {
    this.#probes = []
    this.#heardSince = undefined
  }

  #settle(probe: Probe): void {
    if (!probe.echoed || !probe.confirmed) return
    this.#heardSince = probe.sentAt
    this.#probes = this.#probes.slice(this.#probes.indexOf(probe) + 1)
  }
}

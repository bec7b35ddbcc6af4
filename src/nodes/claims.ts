import { checkCallOptions } from '../base/call-options.js'
import { duration, metaOf, nameOf, orElse, whole } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import { ClaimTakenError, type Owner, StaleTokenError } from '../base/cluster-errors.js'
import type { JsonObject } from '../base/json.js'
import { Wait } from '../base/wait.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { Script } from '../redis/script.js'
import { Claim } from './claim.js'
import { acquireScript, releaseScript, renewClaimScript, resolveClaimScript } from './claim-scripts.js'
import type { Membership } from './membership.js'
import type { Registry } from './registry.js'
import { releaseMessage } from './registry-message.js'

export interface AcquireOptions {
  /** How long it is held after the last renewal; renewals come by themselves. @default leaseTtl */
  ttl?: number | undefined
  /** How long to wait for it if another node holds it. @default 0 */
  wait?: number | undefined
  /** What others are to know of the holder: what JSON can hold, up to 8 KiB. @default {} */
  meta?: object | undefined
}

/** Who holds a name. */
export interface ClaimHolder extends Owner {
  readonly token: number
  readonly meta: JsonObject
}

interface ClaimsOptions {
  port: GuardedPort
  registry: Registry
  membership: Membership
  clock: Clock
  leaseTtl: number
  /** How often to ask whether a name is free: the message may have been missed. */
  heartbeat: number
}

/** Names that one node at a time may hold. */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #held = new Map<string, Claim>()
  /** The largest token of all claims that are over here: those up to it may still stand in Redis, and are not given again. */
  #newestOver = 0

  /** Made by a SessionCluster. @internal */
  constructor(options: ClaimsOptions) {
    this.#options = options
    options.membership.depend({
      fenced: () => this.#loseAll(),
      renewed: fresh => {
        if (fresh) for (const claim of this.#held.values()) claim.renewNow()
      },
    })
  }

  /**
   * Claims a name for this node. If another holds it: waits as long as told to, then rejects with ClaimTakenError. A node
   * that holds it already gets the same claim again.
   */
  async acquire(name: string, options: AcquireOptions = {}): Promise<Claim> {
    checkCallOptions('acquire', options, { ttl: 'anything', wait: 'anything', meta: 'anything' })
    const { clock, leaseTtl, heartbeat: askEvery } = this.#options
    const given = nameOf('name', name)
    const ttl = duration('ttl', orElse(options.ttl, leaseTtl), 100)
    const giveUpAt = clock.monotonic() + duration('wait', orElse(options.wait, 0), 0)
    const meta = metaOf('meta', options.meta)
    for (;;) {
      // Listened to before it is asked for: it may be released while the answer is on its way.
      const { released, stop } = this.#listen(given)
      try {
        const answer = await this.#attempt(given, ttl, meta)
        if (answer instanceof Claim) return answer
        const patience = giveUpAt - clock.monotonic()
        if (patience <= 0) throw answer.refused
        await released.within(Math.min(answer.left, patience, askEvery), clock)
      } finally {
        stop()
      }
    }
  }

  /** Who holds it, as Redis says now; null if nobody does. */
  async resolve(name: string): Promise<ClaimHolder | null> {
    const { token, claim } = await this.#look(nameOf('name', name))
    return claim === '' ? null : { ...claimFrom(claim), token }
  }

  /** For what a claim protects: rejects with StaleTokenError if a newer one was given than the one with this token. */
  async assert(name: string, token: number): Promise<void> {
    whole('token', token, Number.MAX_SAFE_INTEGER)
    const { token: newest } = await this.#look(nameOf('name', name))
    if (newest > token) throw new StaleTokenError(name, token, newest)
  }

  /** Gives back all that this node holds, as far as Redis can be told. @internal */
  async releaseAll(): Promise<void> {
    await Promise.allSettled([...this.#held.values()].map(claim => claim.release()))
  }

  async #attempt(
    name: string,
    ttl: number,
    meta: JsonObject,
  ): Promise<Claim | { refused: Error; left: number }> {
    const { membership, clock, heartbeat: askEvery } = this.#options
    const boot = membership.active()
    const own = this.#held.get(name)
    if (own?.held()) return own
    // After a pause its timer has not fired yet.
    own?.lose('it could not be renewed in time')
    const { id: node, endpoint } = membership.self
    const claim = JSON.stringify({ node, boot, endpoint, meta })
    const sentAt = clock.monotonic()
    const args = [name, boot, membership.field, ttl, claim, this.#newestOver]
    const [status, token, left] = (await this.#run(acquireScript, args)) as string[]
    if (status === 'taken') {
      return { refused: new ClaimTakenError(name, claimFrom(String(token))), left: Number(left) }
    }
    if (status === 'fenced') {
      // If it is not, Redis has lost its data: who waits waits for the heartbeat that registers the node again.
      if (!membership.isActive) throw membership.outdated()
      return { refused: membership.outdated(), left: askEvery }
    }
    // Somebody else in this process got it with the same question, and has given it back since: this token is spent.
    if (Number(token) <= this.#newestOver) return this.#attempt(name, ttl, meta)
    return this.#hold({ name, boot, token: String(token), ttl, claim, sentAt })
  }

  #hold(won: {
    name: string
    boot: string
    token: string
    ttl: number
    claim: string
    sentAt: number
  }): Claim {
    const { name, boot, token, ttl, claim, sentAt } = won
    const { membership, registry, clock } = this.#options
    // Somebody else in this process has asked at the same time.
    const twin = this.#held.get(name)
    if (twin?.token === Number(token) && twin.held()) return twin
    twin?.lose('it could not be renewed in time')
    const message = releaseMessage(name)
    const held = new Claim({
      name,
      token: Number(token),
      ttl,
      clock,
      sentAt,
      nodeUntil: () => (membership.boot === boot ? membership.until : Number.NEGATIVE_INFINITY),
      renew: async () =>
        (await this.#run(renewClaimScript, [name, boot, membership.field, token, ttl, claim])) === 'held',
      release: async () =>
        (await this.#run(releaseScript, [registry.keys.channel, name, boot, token, message])) === 1,
      over: () => {
        this.#newestOver = Math.max(this.#newestOver, Number(token))
        if (this.#held.get(name) === held) this.#held.delete(name)
      },
    })
    this.#held.set(name, held)
    return held
  }

  #loseAll(): void {
    for (const claim of [...this.#held.values()]) claim.lose('the lease of the node is over')
  }

  /** Until a name is released, or this node has left: then there is nothing to wait for. */
  #listen(name: string): { released: Wait; stop: () => void } {
    const { registry, membership } = this.#options
    const released = new Wait()
    const stops = [
      registry.onRelease(other => {
        if (other === name) released.cutShort()
      }),
      membership.onEnd(() => released.cutShort()),
    ]
    return {
      released,
      stop() {
        for (const stop of stops) stop()
      },
    }
  }

  async #look(name: string): Promise<{ token: number; claim: string }> {
    const [token, claim] = (await this.#run(resolveClaimScript, [name])) as unknown[]
    return { token: Number(String(token)), claim: String(claim) }
  }

  #run(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    const { port, registry } = this.#options
    const { claims, leases, entries } = registry.keys
    return port.run(script, [claims, leases, entries], args)
  }
}

function claimFrom(text: string): Owner & { meta: JsonObject } {
  const value: unknown = JSON.parse(text)
  return value as Owner & { meta: JsonObject }
}

import { beforeEach, describe, expect, it } from 'vitest'
import { Claim } from '../../src/nodes/claim.js'
import { ManualClock } from '../support/manual-clock.js'
import { settled } from '../support/simulated-redis.js'

const TTL = 1_200
/** It ends here a tenth of its time before it ends in Redis. */
const HELD = 1_080

let clock: ManualClock
let start: number
let nodeUntil: number
let renewals: number[]
let over: number
/** What Redis answers to a renewal; a test may hold it back. */
let renew: () => Promise<boolean>
let release: () => Promise<boolean>
let claim: Claim

const now = () => clock.monotonic() - start
const away = async () => {
  throw new Error('away')
}

beforeEach(() => {
  clock = new ManualClock()
  start = clock.monotonic()
  nodeUntil = Number.POSITIVE_INFINITY
  renewals = []
  over = 0
  renew = async () => true
  release = async () => true
  claim = hold()
})

function hold(sentAt = start): Claim {
  return new Claim({
    name: 'x',
    token: 7,
    ttl: TTL,
    clock,
    sentAt,
    nodeUntil: () => nodeUntil,
    renew: () => {
      renewals.push(now())
      return renew()
    },
    release: () => release(),
    over: () => over++,
  })
}

async function pass(ms: number): Promise<void> {
  for (const end = clock.monotonic() + ms; clock.monotonic() < end; ) {
    clock.advance(Math.min(10, end - clock.monotonic()))
    await settled()
  }
}

const reason = () => (claim.signal.reason as Error | undefined)?.message

describe('a claim', () => {
  it('is renewed every third of its time, counted from the sending, and lives on', async () => {
    await pass(3 * TTL)
    expect([claim.held(), claim.signal.aborted, over]).toEqual([true, false, 0])
    // The next renewal, and the end.
    expect(clock.pending).toBe(2)
    expect(renewals.slice(0, 3)).toEqual([400, 800, 1_200])
  })

  it('tries again sooner while Redis is away, and is over a tenth of its time before its end', async () => {
    renew = away
    await pass(HELD - 10)
    expect([claim.held(), renewals.slice(0, 3)]).toEqual([true, [400, 500, 600]])
    await pass(10)
    expect([claim.held(), claim.signal.aborted, over]).toEqual([false, true, 1])
    expect(claim.signal.reason).toMatchObject({
      code: 'ERR_CLAIM_LOST',
      message: "The claim of 'x' is over: it could not be renewed in time",
    })
    const tried = renewals.length
    await pass(TTL)
    expect([renewals.length, over]).toEqual([tried, 1])
  })

  it('is there again if Redis comes back in time', async () => {
    renew = away
    await pass(800)
    renew = async () => true
    await pass(TTL)
    expect(claim.held()).toBe(true)
  })

  it('counts from the sending of a renewal, not from its answer', async () => {
    let answer = () => {}
    renew = () => new Promise(resolve => (answer = () => resolve(true)))
    await pass(1_000)
    answer()
    await settled()
    renew = away
    await pass(400 + HELD - 1_000 - 10)
    expect(claim.held()).toBe(true)
    await pass(10)
    expect([claim.held(), claim.signal.aborted]).toEqual([false, true])
  })

  it('is over before any timer has fired, after a pause, and is not renewed any more', async () => {
    clock.pause(HELD - 1)
    expect(claim.held()).toBe(true)
    clock.pause(1)
    expect([claim.held(), claim.signal.aborted]).toEqual([false, false])
    await pass(10)
    expect([claim.signal.aborted, renewals]).toEqual([true, []])
  })

  it('ends with its node, however long it lasts itself', async () => {
    nodeUntil = start + 500
    claim = hold()
    // No answer says so.
    renew = () => new Promise(() => {})
    await pass(490)
    // A heartbeat has come through.
    nodeUntil = start + 700
    await pass(200)
    expect([claim.held(), claim.signal.aborted]).toEqual([true, false])
    await pass(10)
    expect([claim.held(), claim.signal.aborted, over]).toEqual([false, true, 1])
  })

  it('that was won too late was never held', async () => {
    const late = hold(start - TTL)
    expect(late.held()).toBe(false)
    await pass(10)
    expect(late.signal.aborted).toBe(true)
  })

  it('is over when Redis says so, and an answer after that changes nothing', async () => {
    renew = async () => false
    await pass(400)
    expect([claim.held(), reason(), over]).toEqual([
      false,
      "The claim of 'x' is over: another node may have it",
      1,
    ])
    let answer = () => {}
    renew = () => new Promise(resolve => (answer = () => resolve(true)))
    claim = hold(clock.monotonic())
    await pass(400)
    claim.lose('the lease of the node is over')
    answer()
    await settled()
    expect([claim.held(), reason(), over]).toEqual([
      false,
      "The claim of 'x' is over: the lease of the node is over",
      2,
    ])
    expect(clock.pending).toBe(0)
    renew = () => new Promise((_resolve, reject) => (answer = () => reject(new Error('away'))))
    claim = hold(clock.monotonic())
    await pass(400)
    claim.lose('the lease of the node is over')
    answer()
    await settled()
    expect(clock.pending).toBe(0)
  })

  it('is renewed at once when that is asked for, and goes on from there; not when it is over', async () => {
    await pass(100)
    claim.renewNow()
    await pass(500)
    expect(renewals).toEqual([100, 500])
    await claim.release()
    claim.renewNow()
    expect([renewals, clock.pending]).toEqual([[100, 500], 0])
  })

  it('is released once, and says whether it was held', async () => {
    expect(await claim.release()).toBe(true)
    expect([claim.held(), reason(), over]).toEqual([false, "The claim of 'x' is over: it was released", 1])
    expect(await claim.release()).toBe(false)
    claim = hold(clock.monotonic())
    release = async () => false
    expect(await claim.release()).toBe(false)
    await pass(TTL)
    expect([over, renewals]).toEqual([2, []])
  })

  it('that Redis cannot be asked to release is over here all the same', async () => {
    release = away as never
    await expect(claim.release()).rejects.toThrow('away')
    expect([claim.held(), claim.signal.aborted]).toEqual([false, true])
  })
})

import { beforeEach, describe, expect, it } from 'vitest'
import { Lease } from '../../src/nodes/lease.js'
import type { Registry, Renewal, RenewalReply } from '../../src/nodes/registry.js'
import { ManualClock } from '../support/manual-clock.js'
import { settled } from '../support/simulated-redis.js'

const TTL = 1_000
const HEARTBEAT = 300

let clock: ManualClock
let told: string[]
let sent: (Renewal & { at: number })[]
let left: string[]
/** What Redis answers; a test may hold it back. */
let answer: (renewal: Renewal) => Promise<RenewalReply>
let lease: Lease

const held = async (): Promise<RenewalReply> => ({ status: 'held', remains: '' })
const lost = async (): Promise<RenewalReply> => ({ status: 'lost', remains: '' })
const other = { boot: 'other', node: { id: 'n', endpoint: 'e', meta: {} }, services: [] }
const taken = async (): Promise<RenewalReply> => ({ status: 'taken', by: other, deadline: 9, left: 5 })
const away = async (): Promise<RenewalReply> => {
  throw new Error('away')
}

beforeEach(() => {
  clock = new ManualClock()
  told = []
  sent = []
  left = []
  answer = held
  const registry = {
    renew: (renewal: Renewal) => {
      sent.push({ ...renewal, at: clock.monotonic() })
      return answer(renewal)
    },
    leave: async (_field: string, boot: string) => void left.push(boot),
  } as unknown as Registry
  lease = new Lease(
    {
      registry,
      clock,
      field: 'n/n',
      ttl: TTL,
      heartbeat: HEARTBEAT,
      entry: boot => ({ boot, node: null, services: [] }),
    },
    {
      active: () => told.push('active'),
      suspect: reason => told.push(`suspect: ${reason}`),
      fenced: (reason, by) => told.push(`fenced: ${reason}${by ? ` by ${by.boot}` : ''}`),
      renewed: fresh => fresh && told.push('fresh'),
    },
  )
})

async function pass(ms: number): Promise<void> {
  for (; ms > 0; ms -= 10) {
    clock.advance(Math.min(10, ms))
    await settled()
  }
}

const hows = () => sent.map(({ how }) => how)

describe('a lease', () => {
  it('is joined once, and renewed with every heartbeat, with time for more than one attempt', async () => {
    expect(lease.state).toBe('idle')
    await lease.join('join')
    await pass(3 * HEARTBEAT)
    expect([lease.state, told, hows()]).toEqual([
      'active',
      ['active', 'fresh'],
      ['join', 'renew', 'renew', 'renew'],
    ])
    const [first] = sent
    expect(sent.map(({ at }) => at - (first?.at ?? 0))).toEqual([0, 300, 600, 900])
    expect((first?.until ?? 0) - (first?.at ?? 0)).toBeLessThan(TTL / 2)
  })

  it('that another holds is not renewed', async () => {
    answer = taken
    expect(await lease.join('join')).toMatchObject({ status: 'taken', by: other })
    await pass(3 * HEARTBEAT)
    expect([lease.state, sent.length, told]).toEqual(['idle', 1, []])
  })

  it('is suspect when a renewal fails, tried again sooner, and active when one succeeds', async () => {
    await lease.join('join')
    answer = away
    await pass(HEARTBEAT + 100)
    expect([lease.state, told.at(-1), sent.length]).toEqual(['suspect', 'suspect: away', 3])
    answer = held
    await pass(100)
    expect([lease.state, told]).toEqual(['active', ['active', 'fresh', 'suspect: away', 'active']])
  })

  it('is over when it could not be renewed, and joined again under another boot that says who it was', async () => {
    await lease.join('join')
    const { boot } = lease
    answer = away
    await pass(TTL)
    expect([lease.state, told.at(-1)]).toEqual(['fenced', 'fenced: it could not be renewed in time'])
    expect(lease.boot).not.toBe(boot)
    answer = held
    await pass(HEARTBEAT)
    expect([lease.state, sent.at(-1)?.former, sent.at(-1)?.entry.boot]).toEqual(['active', boot, lease.boot])
    expect(told.slice(-2)).toEqual(['active', 'fresh'])
  })

  it('counts from the sending of a renewal, not from its answer', async () => {
    let reply = () => {}
    answer = () => new Promise(resolve => (reply = () => resolve({ status: 'held', remains: '' })))
    const joining = lease.join('join')
    await settled()
    await pass(TTL - 10)
    reply()
    await joining
    expect(lease.state).toBe('active')
    clock.pause(10)
    expect(lease.state).toBe('fenced')
  })

  it('whose answer comes too late was never held', async () => {
    let reply = () => {}
    answer = () => new Promise(resolve => (reply = () => resolve({ status: 'held', remains: '' })))
    const joining = lease.join('join')
    await settled()
    clock.pause(TTL)
    reply()
    await joining
    expect([lease.state, told]).toEqual(['fenced', ['fenced: it could not be renewed in time']])
    answer = held
    await pass(HEARTBEAT)
    expect(lease.state).toBe('active')
  })

  it('is over after a pause before any timer has fired, and what is sent first is no renewal', async () => {
    await lease.join('join')
    clock.pause(3 * TTL)
    expect([lease.state, told]).toEqual(['fenced', ['active', 'fresh']])
    await pass(10)
    expect(told).toContain('fenced: it could not be renewed in time')
    expect(hows().slice(1)).not.toContain('renew')
  })

  it('is not touched by the wall clock', async () => {
    await lease.join('join')
    clock.setWall(3_600_000)
    await pass(HEARTBEAT)
    clock.setWall(-7_200_000)
    await pass(HEARTBEAT)
    expect([lease.state, told, hows()]).toEqual(['active', ['active', 'fresh'], ['join', 'renew', 'renew']])
  })

  it('that Redis has lost is joined again under the same boot', async () => {
    await lease.join('join')
    const { boot } = lease
    answer = async ({ how }) => (how === 'renew' ? lost() : held())
    await pass(HEARTBEAT)
    expect([lease.state, lease.boot, hows(), told]).toEqual([
      'active',
      boot,
      ['join', 'renew', 'join'],
      ['active', 'fresh', 'fresh'],
    ])
  })

  it('that has ended in Redis is over here', async () => {
    await lease.join('join')
    answer = async () => ({ status: 'over', remains: '' })
    await pass(HEARTBEAT)
    expect(told.at(-1)).toBe('fenced: it has ended in Redis')
  })

  it('that another has taken is over, told of once, and joined again only when it is free', async () => {
    await lease.join('join')
    answer = taken
    await pass(3 * TTL)
    expect([lease.state, told]).toEqual([
      'fenced',
      ['active', 'fresh', 'fenced: another process holds it by other'],
    ])
    expect(new Set(hows().slice(2))).toEqual(new Set(['join']))
    answer = held
    await pass(HEARTBEAT)
    expect(lease.state).toBe('active')
  })

  it('sends what is to stand there in turn, and says whether it does', async () => {
    await lease.join('join')
    expect(await Promise.all([lease.update(), lease.update()])).toEqual([true, true])
    expect(hows()).toEqual(['join', 'renew', 'renew'])
    answer = taken
    expect(await lease.update()).toBe(false)
    answer = away
    await expect(lease.update()).rejects.toThrow('away')
  })

  it('is given back, and nothing is sent after that', async () => {
    await lease.join('join')
    const { boot } = lease
    await lease.leave()
    await pass(3 * TTL)
    expect([lease.state, left, sent.length, told]).toEqual(['ended', [boot], 1, ['active', 'fresh']])
  })

  it('is given back after the renewal that is under way, whose answer changes nothing', async () => {
    await lease.join('join')
    let reply = () => {}
    answer = () => new Promise(resolve => (reply = () => resolve({ status: 'held', remains: '' })))
    await pass(HEARTBEAT)
    const leaving = lease.leave()
    await settled()
    expect(left).toEqual([])
    reply()
    await leaving
    expect([left.length, lease.state]).toEqual([1, 'ended'])
  })

  it('is given back, if its joining was under way', async () => {
    let reply = () => {}
    answer = () => new Promise(resolve => (reply = () => resolve({ status: 'held', remains: '' })))
    const joining = lease.join('join')
    await settled()
    const leaving = lease.leave()
    reply()
    await Promise.all([joining, leaving])
    expect([left.length, lease.state, told]).toEqual([1, 'ended', []])
  })

  it('that was never joined is not given back', async () => {
    await lease.leave()
    expect([left, lease.state]).toEqual([[], 'ended'])
  })
})

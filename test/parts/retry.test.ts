import { inspect } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { StoreError } from '../../src/base/errors.js'
import { Stats } from '../../src/observe/stats.js'
import { GuardedPort, type GuardOptions } from '../../src/redis/guarded-port.js'
import type { RedisPort } from '../../src/redis/redis-port.js'
import { loadScript, saveScript } from '../../src/redis/scripts.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { type RecordedEvent, SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

const KEY = 'sess:a-secret-id'
const DEADLINE = 1_000
const RETRY = { attempts: 3, delay: 100 }
const BREAKER = { failures: 2, openFor: 5_000 }

/** What the fake server does with one command: answer, reject, or keep silent. */
type Behaviour = (key: string, sent: number) => Promise<unknown>

function guarded(behave: Behaviour, options: Partial<Pick<GuardOptions, 'retry' | 'breaker'>> = {}) {
  const clock = new ManualClock()
  const stats = new Stats()
  const events: RecordedEvent[] = []
  const sent: { key: string; at: number }[] = []
  const inner: RedisPort = new SimulatedRedis(clock).port('n')
  inner.run = (_script, [key = '']) => {
    sent.push({ key, at: clock.monotonic() })
    return behave(key, sent.length)
  }
  inner.ownerOf = key => key.replace(/:.*/, '')
  const port = new GuardedPort(inner, {
    deadline: DEADLINE,
    retry: RETRY,
    breaker: false,
    clock,
    stats,
    emit: (name, detail) => events.push({ name, detail }),
    doubtful() {},
    ...options,
  })
  const named = (name: RecordedEvent['name']) =>
    events.filter(event => event.name === name).map(e => e.detail)
  return { clock, stats, events, named, sent, inner, port }
}

const never = () => new Promise<never>(() => {})
const cut = async () => {
  throw new Error('Connection is closed.')
}
const replying = (message: string) => async () => {
  throw Object.assign(new Error(message), { name: 'ReplyError', command: { name: 'evalsha', args: [KEY] } })
}

/** The outcome of a promise, once time has gone by in steps in which everything else can happen. */
async function passing<T>(
  clock: ManualClock,
  ms: number,
  promise: Promise<T>,
  step = 25,
): Promise<T | StoreError> {
  const outcome = promise.catch((error: StoreError) => error)
  for (let gone = 0; gone < ms; gone += step) {
    await settled()
    clock.advance(step)
  }
  await settled()
  return outcome
}

const longestPauses = () => vi.spyOn(Math, 'random').mockReturnValue(1)

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a command whose connection fails', () => {
  it('is sent again, and its caller notices nothing', async () => {
    const { clock, port, sent, stats, named } = guarded(async (_key, count) => {
      if (count <= 2) throw new Error('read ECONNRESET')
      return 'answer'
    })
    expect(await passing(clock, 400, port.run(saveScript, [KEY], []))).toBe('answer')
    expect(sent).toHaveLength(3)
    expect(stats.retries).toBe(2)
    expect(stats.timeouts).toBe(0)
    expect(named('retried')).toEqual([
      { operation: 'save', attempt: 1, reason: 'Redis: read ECONNRESET' },
      { operation: 'save', attempt: 2, reason: 'Redis: read ECONNRESET' },
    ])
    expect(port.unreachable).toBeUndefined()
  })

  it('is sent again as often as was allowed, and no more', async () => {
    const { clock, port, sent, stats } = guarded(cut)
    const error = await passing(clock, 900, port.run(saveScript, [KEY], []))
    expect(error).toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: true })
    expect(sent).toHaveLength(1 + RETRY.attempts)
    expect(stats.retries).toBe(RETRY.attempts)
  })

  it('is not sent again if that is switched off', async () => {
    const { port, sent, stats, events } = guarded(cut, { retry: false })
    await expect(port.run(loadScript, [KEY], [])).rejects.toMatchObject({ outcomeUnknown: false })
    expect(sent).toHaveLength(1)
    expect(stats.retries).toBe(0)
    expect(events).toEqual([])
  })

  it('waits longer each time (guards: a server that comes back under a storm)', async () => {
    longestPauses()
    const { clock, port, sent } = guarded(cut)
    await passing(clock, 900, port.run(saveScript, [KEY], []))
    const pauses = sent.slice(1).map(({ at }, index) => at - (sent[index]?.at ?? 0))
    expect(pauses).toEqual([100, 200, 400])
  })

  it('waits for a random part of that (guards: nodes in step)', async () => {
    const random = vi.spyOn(Math, 'random')
    random.mockReturnValueOnce(0.25).mockReturnValueOnce(0.5).mockReturnValueOnce(0.125)
    const { clock, port, sent } = guarded(cut)
    await passing(clock, 900, port.run(saveScript, [KEY], []))
    const pauses = sent.slice(1).map(({ at }, index) => at - (sent[index]?.at ?? 0))
    expect(pauses).toEqual([25, 100, 50])
  })

  it('ends by its deadline however often it may be sent, and is not sent after it', async () => {
    longestPauses()
    const { clock, port, sent, stats, named } = guarded(cut, { retry: { attempts: 100, delay: 300 } })
    const error = await passing(clock, DEADLINE, port.run(saveScript, [KEY], []))
    expect(error).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    expect(stats.timeouts).toBe(1)
    expect(named('timedOut')).toEqual([{ operation: 'save', deadline: DEADLINE }])
    const before = sent.length
    clock.advance(60_000)
    await settled()
    expect(sent).toHaveLength(before)
  })

  it('is not sent again if it fails when its caller has gone (guards: a write long after its error)', async () => {
    let fail = (_error: Error) => {}
    const { clock, port, sent, stats } = guarded(
      () =>
        new Promise((_resolve, reject) => {
          fail = reject
        }),
    )
    const error = await passing(clock, DEADLINE, port.run(saveScript, [KEY], []))
    expect(error).toMatchObject({ code: 'ERR_DEADLINE' })
    fail(new Error('Connection is closed.'))
    await settled()
    clock.advance(60_000)
    await settled()
    expect(sent).toHaveLength(1)
    expect(stats.retries).toBe(0)
  })

  it('is not sent again after the end of the store', async () => {
    longestPauses()
    const { clock, port, sent } = guarded(cut)
    const error = port.run(saveScript, [KEY], []).catch(cause => cause)
    await settled()
    port.close()
    clock.advance(100)
    expect(await error).toMatchObject({ code: 'ERR_REDIS' })
    expect(sent).toHaveLength(1)
  })

  it('counts as sent over a lost connection when it is sent again (guards: resend counts as loss)', async () => {
    const { clock, port, inner } = guarded(async (_key, count) => {
      if (count === 1) throw new Error('Connection is closed.')
    })
    const { losses } = port
    await passing(clock, 200, port.run(saveScript, [KEY], []))
    expect(inner.losses).toBe(0)
    expect(port.losses).toBe(losses + 1)
  })

  it('shows no session id in events and errors', async () => {
    const quoting = async () => {
      throw Object.assign(new Error(`write EPIPE after '${KEY}'`), {
        command: { name: 'evalsha', args: [KEY] },
      })
    }
    const { clock, port, events } = guarded(quoting, { breaker: { failures: 1, openFor: 1_000 } })
    const error = await passing(clock, 900, port.run(saveScript, [KEY], []))
    const refusal = await port.run(saveScript, [KEY], []).catch(cause => cause)
    expect(events.map(({ name }) => name)).toEqual(['retried', 'retried', 'retried', 'breakerOpened'])
    expect(error).toHaveProperty('message', expect.stringContaining('<key>'))
    expect(inspect([events, error, refusal], { depth: 9, showHidden: true })).not.toContain('a-secret-id')
  })
})

/** Everything that Redis says is an answer, also where it is no. */
const REPLIES = [
  'OOM command not allowed when used memory > maxmemory',
  'NOPERM this user has no permissions',
  'READONLY You cannot write against a read only replica.',
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  'CLUSTERDOWN The cluster is down',
  'LOADING Redis is loading the dataset in memory',
  'ERR value is not an integer or out of range',
]

describe.each(['Command timed out', "Cannot read properties of undefined (reading 'x')"])(
  'the error "%s"',
  message => {
    it('is none of the connection: the command may be under way (guards: connection errors only)', async () => {
      const { port, sent, stats } = guarded(async () => {
        throw new Error(message)
      })
      await expect(port.run(saveScript, [KEY], [])).rejects.toMatchObject({ outcomeUnknown: true })
      expect(sent).toHaveLength(1)
      expect(stats.retries).toBe(0)
    })
  },
)

describe.each(REPLIES)('the reply "%s"', reply => {
  it('is passed on at once, and nothing is sent again (guards: connection errors only)', async () => {
    const { port, sent, stats } = guarded(replying(reply))
    await expect(port.run(saveScript, [KEY], [])).rejects.toMatchObject({
      code: 'ERR_REDIS',
      outcomeUnknown: false,
    })
    expect(sent).toHaveLength(1)
    expect(stats.retries).toBe(0)
  })

  it('is no failure for the breaker: Redis is there', async () => {
    const { port, events, sent } = guarded(replying(reply), { breaker: BREAKER })
    for (let time = 0; time < 10; time++) await port.run(saveScript, [KEY], []).catch(() => {})
    expect(sent).toHaveLength(10)
    expect(events).toEqual([])
  })

  it('closes an open breaker', async () => {
    let behave: () => Promise<unknown> = cut
    const { clock, port, events } = guarded(() => behave(), { retry: false, breaker: BREAKER })
    for (let time = 0; time < BREAKER.failures; time++) await port.run(saveScript, [KEY], []).catch(() => {})
    behave = replying(reply)
    clock.pause(BREAKER.openFor)
    await port.run(saveScript, [KEY], []).catch(() => {})
    expect(events.map(({ name }) => name)).toEqual(['breakerOpened', 'breakerHalfOpened', 'breakerClosed'])
    expect(port.unreachable).toBeUndefined()
  })
})

describe('a server that has failed again and again', () => {
  it('is sent nothing, and who asks is told at once (guards: waiting for nothing)', async () => {
    const { clock, port, sent, stats, named } = guarded(never, { breaker: BREAKER })
    const asked = [1, 2].map(() => port.run(saveScript, [KEY], []).catch(() => {}))
    await passing(clock, DEADLINE, Promise.all(asked))
    expect(named('breakerOpened')).toEqual([
      { server: 'sess', reason: expect.stringContaining('did not answer save within 1000 ms') },
    ])
    // No timer runs in between: the rejection does not come from one.
    for (let time = 0; time < 50; time++) {
      await expect(port.run(saveScript, [KEY], [])).rejects.toMatchObject({
        code: 'ERR_UNAVAILABLE',
        outcomeUnknown: false,
        message: expect.stringContaining('did not answer'),
      })
    }
    expect(sent).toHaveLength(2)
    expect(stats.timeouts).toBe(2)
    expect(stats.breaker).toEqual({ opened: 1, halfOpened: 0, closed: 0 })
    expect(port.unreachable).toMatch(/did not answer/)
  })

  it('is asked by one alone when its time has come, and answers everybody after that', async () => {
    let release = (_answer: string) => {}
    let behave: () => Promise<unknown> = cut
    const { clock, port, sent, stats, named } = guarded(() => behave(), { retry: false, breaker: BREAKER })
    for (let time = 0; time < BREAKER.failures; time++) await port.run(saveScript, [KEY], []).catch(() => {})
    behave = () =>
      new Promise(resolve => {
        release = resolve
      })
    clock.pause(BREAKER.openFor)
    const first = port.run(loadScript, [KEY], [])
    const others = await Promise.allSettled(Array.from({ length: 9 }, () => port.run(loadScript, [KEY], [])))
    expect(others.every(({ status }) => status === 'rejected')).toBe(true)
    expect(sent).toHaveLength(BREAKER.failures + 1)
    release('answer')
    expect(await first).toBe('answer')
    behave = async () => 'answer'
    expect(await port.run(loadScript, [KEY], [])).toBe('answer')
    expect(stats.breaker).toEqual({ opened: 1, halfOpened: 1, closed: 1 })
    expect(named('breakerHalfOpened')).toEqual([{ server: 'sess' }])
    expect(named('breakerClosed')).toEqual([{ server: 'sess' }])
  })

  it('answers everybody again with the first thing it says, though nobody waits for that any more', async () => {
    const late: (() => void)[] = []
    const { clock, port, stats } = guarded(() => new Promise<void>(resolve => late.push(resolve)), {
      breaker: BREAKER,
    })
    const asked = [1, 2].map(() => port.run(saveScript, [KEY], []).catch(() => {}))
    await passing(clock, DEADLINE, Promise.all(asked))
    await expect(port.run(saveScript, [KEY], [])).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE' })
    late[0]?.()
    await settled()
    const next = port.run(saveScript, [KEY], [])
    late.at(-1)?.()
    await next
    expect(stats.breaker).toEqual({ opened: 1, halfOpened: 0, closed: 1 })
  })

  it('does not take the others with it (guards: one breaker per server)', async () => {
    const { port, sent, named } = guarded(
      key => (key.startsWith('one:') ? cut() : Promise.resolve('answer')),
      {
        retry: false,
        breaker: BREAKER,
      },
    )
    for (let time = 0; time < 5; time++) await port.run(saveScript, ['one:x'], []).catch(() => {})
    expect(named('breakerOpened')).toEqual([{ server: 'one', reason: expect.any(String) }])
    expect(await port.run(saveScript, ['two:x'], [])).toBe('answer')
    await expect(port.run(saveScript, ['one:y'], [])).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE' })
    expect(sent.filter(({ key }) => key.startsWith('one:'))).toHaveLength(BREAKER.failures)
  })

  it('is not found out about by what has waited too long to wait for it (guards: opening again for nothing)', async () => {
    const { clock, port, sent, stats } = guarded(cut, {
      retry: false,
      breaker: { failures: 1, openFor: 100 },
    })
    await port.run(saveScript, [KEY], []).catch(() => {})
    clock.pause(100)
    const soon = clock.monotonic() + DEADLINE / 2 - 1
    await expect(port.run(saveScript, [KEY], [], soon)).rejects.toMatchObject({ code: 'ERR_UNAVAILABLE' })
    expect(sent).toHaveLength(1)
    await expect(port.run(saveScript, [KEY], [], soon + 1)).rejects.toMatchObject({ code: 'ERR_REDIS' })
    expect(stats.breaker).toEqual({ opened: 2, halfOpened: 1, closed: 0 })
  })

  it('is still asked how it is', async () => {
    const { port } = guarded(cut, { retry: false, breaker: BREAKER })
    for (let time = 0; time < 5; time++) await port.run(saveScript, [KEY], []).catch(() => {})
    await port.ping()
    await port.publish('channel', 'message')
    await port.lookForPrimaries()
  })

  it('is asked all the same if the breaker is switched off', async () => {
    const { port, sent, events } = guarded(cut, { retry: false, breaker: false })
    for (let time = 0; time < 20; time++) await port.run(saveScript, [KEY], []).catch(() => {})
    expect(sent).toHaveLength(20)
    expect(events).toEqual([])
  })
})

describe('a write behind another of its session', () => {
  async function node() {
    const clock = new ManualClock()
    const redis = new SimulatedRedis(clock)
    const gate = new Gate(redis)
    const one = await SimulatedNode.start(redis, clock, 'one', {
      deadline: DEADLINE,
      retry: false,
      breaker: false,
    })
    return { clock, redis, gate, one }
  }

  it('ends by its own deadline, and says that it was not sent (guards: waiting twice)', async () => {
    const { clock, redis, gate, one } = await node()
    gate.hold(/sends save/)
    const first = one.save('s', { v: 1 }).catch((error: StoreError) => error)
    await settled()
    clock.advance(400)
    const second = one.save('s', { v: 2 }).catch((error: StoreError) => error)
    const third = one.destroy('s').catch((error: StoreError) => error)
    await settled()
    clock.advance(DEADLINE - 400)
    expect(await first).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    // Sent now, with what is left of its own time.
    clock.advance(400)
    expect(await second).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    expect(await third).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: false })
    expect(gate.held.filter(label => /destroy/.test(label))).toEqual([])
    await gate.release()
    expect(redis.get('crs:tombstone:{sess:s}')).toBeUndefined()
  })

  it('is no failure for the breaker if it was not sent', async () => {
    const clock = new ManualClock()
    const { port, stats } = guarded(never, { breaker: { failures: 1, openFor: 1_000 } })
    await expect(port.run(saveScript, [KEY], [], clock.monotonic() - 1)).rejects.toMatchObject({
      code: 'ERR_DEADLINE',
      outcomeUnknown: false,
    })
    expect(stats.breaker.opened).toBe(0)
  })
})

import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Stats } from '../../src/observe/stats.js'
import { GuardedPort } from '../../src/redis/guarded-port.js'
import type { RedisPort } from '../../src/redis/redis-port.js'
import { loadScript, saveScript } from '../../src/redis/scripts.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedRedis } from '../support/simulated-redis.js'

const KEY = 'sess:a-secret-id'

const SETTINGS = { deadline: 1_000, retry: false, breaker: false } as const

function guard(port: RedisPort, clock: ManualClock): GuardedPort {
  return new GuardedPort(port, { ...SETTINGS, clock, stats: new Stats(), emit() {}, doubtful() {} })
}

function guarded(answer: () => Promise<unknown>) {
  const clock = new ManualClock()
  const port: RedisPort = new SimulatedRedis(clock).port('n')
  port.run = answer
  return { clock, port: guard(port, clock) }
}

const failing = (message: string, name = 'ReplyError') =>
  guarded(async () => {
    throw Object.assign(new Error(message), { name, command: { name: 'evalsha', args: [KEY] } })
  }).port.run(loadScript, [KEY], [])

describe('what Redis says of a failure', () => {
  it('is passed on without the keys and the arguments that it quotes (guards: ids are credentials)', async () => {
    const error: unknown = await failing(`NOPERM no permissions to access the '${KEY}' key`).catch(
      cause => cause,
    )
    expect(error).toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: false })
    expect(String(error)).toBe("RedisError: Redis: NOPERM no permissions to access the '<key>' key")
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('a-secret-id')
  })

  it('is passed on without what follows the name of an unknown command', async () => {
    const quoted = "ERR unknown command 'EVALSHA', with args beginning with: 'x' 'sess:a-sec"
    await expect(failing(quoted)).rejects.toThrow(/^Redis: ERR unknown command 'EVALSHA'$/)
  })

  it('comes with what to grant, if rights on the channel are missing', async () => {
    await expect(failing("NOPERM can't publish to the channel mentioned in the command")).rejects.toThrow(
      /&crs:\*/,
    )
  })

  it('leaves the outcome open, if it is no answer but a broken connection', async () => {
    const { port } = guarded(async () => {
      throw new Error('Connection is closed.')
    })
    const saved = port.run(saveScript, [KEY], [])
    await expect(saved).rejects.toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: true })
  })
})

describe('an operation', () => {
  it('ends by its deadline, whatever becomes of the command', async () => {
    const { clock, port } = guarded(() => new Promise(() => {}))
    const asked = port.run(saveScript, [KEY], [])
    const ended = expect(asked).rejects.toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    clock.advance(1_000)
    await ended
    expect(port.unreachable).toMatch(/did not answer save within 1000 ms/)
  })

  it('is not begun after the end', async () => {
    const { port } = guarded(async () => 'answer')
    await expect(port.run(loadScript, [KEY], [])).resolves.toBe('answer')
    port.close()
    await expect(port.run(loadScript, [KEY], [])).rejects.toMatchObject({ code: 'ERR_CLOSED' })
  })

  it('is waited for, and what it begins when it is through', async () => {
    let through = 0
    const waiting: (() => void)[] = []
    const { port } = guarded(() => new Promise<void>(resolve => waiting.push(resolve)))
    const twoTrips = async () => {
      await port.run(loadScript, [KEY], [])
      through++
      await port.run(loadScript, [KEY], [])
      through++
    }
    const done = twoTrips()
    const drained = port.drain().then(() => through)
    waiting.shift()?.()
    await new Promise(setImmediate)
    waiting.shift()?.()
    await done
    expect(await drained).toBe(2)
  })
})

import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { destroyScript, loadScript, saveScript, touchScript } from '../../src/redis/scripts.js'
import { ManualClock } from '../support/manual-clock.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { SimulatedRedis } from '../support/simulated-redis.js'

const HOUR = 3_600_000
const INDEX = 'crs:index:1:user:ada:sess:'
/** As a session is called that has one name, and one that has two. */
const NAMES = [
  ['sess:s', 'crs:tombstone:{sess:s}'],
  ['sess:h', 'crs:tombstone:{sess:h}', 'sess:s', 'crs:tombstone:{sess:s}'],
]
const VALUES = ['{"n":1}', '{"n":2}']

const SCRIPTS = { save: saveScript, touch: touchScript, destroy: destroyScript, load: loadScript }

interface Call {
  readonly name: keyof typeof SCRIPTS
  readonly keys: readonly string[]
  readonly args: (string | number)[]
  /** Which of its arguments name the tombstones that were seen last. */
  readonly seen?: number
}

const names = fc.constantFrom(...NAMES)
const digest = fc.constantFrom('', '-', ...VALUES.map(value => hash('sha1', value)))
const px = fc.constantFrom(HOUR, 2 * HOUR)
/** Of a session in one index; with a limit, and whether it has had its place there. */
const entering = fc.record({
  member: fc.constantFrom('s', 'other'),
  limit: fc.constantFrom('', 1, 2),
  kept: fc.constantFrom('', '1'),
})

const save = fc
  .record({
    keys: names,
    value: fc.constantFrom(...VALUES),
    px,
    knows: fc.boolean(),
    existedAt: fc.constantFrom('', 0, 8e15),
    onlyIfThere: fc.constantFrom('', '1'),
    expected: digest,
    known: digest,
    entering: fc.option(entering, { nil: undefined }),
  })
  .map(({ keys, value, px, knows, existedAt, onlyIfThere, expected, known, entering }): Call => {
    const index = entering ? [entering.member, '', '', 0, entering.limit, entering.kept, 0] : []
    const args = [
      value,
      px,
      '',
      '',
      '',
      existedAt,
      HOUR,
      '',
      1,
      onlyIfThere,
      expected,
      keys.length,
      '',
      known,
    ]
    return {
      name: 'save',
      keys: [...keys, ...(entering ? [INDEX] : [])],
      args: [...args, ...index],
      ...(knows ? { seen: 4 } : {}),
    }
  })

const touch = fc
  .record({ keys: names, px, expected: digest, entering: fc.option(entering, { nil: undefined }) })
  .map(({ keys, px, expected, entering }): Call => {
    const index = entering ? [entering.member, '', '', 0, '', '', 0] : []
    return {
      name: 'touch',
      keys: [...keys, ...(entering ? [INDEX] : [])],
      args: [px, '', '', 1, '', '', expected, keys.length, ...index],
    }
  })

const destroy = fc
  .record({ keys: names, id: fc.constantFrom('d1', 'd2'), back: fc.constantFrom('', '1') })
  .map(({ keys, id, back }): Call => ({ name: 'destroy', keys, args: ['', '', id, HOUR, back] }))

const load = names.map((keys): Call => ({ name: 'load', keys, args: [keys.length] }))

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

/** Without what depends on when it was: times, the order by them, and lives to a minute. */
function timeless(reply: unknown): unknown {
  if (Array.isArray(reply)) {
    // What is in an index that is full: members and scores.
    const isFull = reply.length === 3 && Array.isArray(reply[1])
    return isFull
      ? [reply[0], reply[1].filter((_each: unknown, index: number) => index % 2 === 0).sort()].map(timeless)
      : reply.map(timeless)
  }
  if (Buffer.isBuffer(reply)) return timeless(reply.toString())
  const number = Number(reply)
  if (reply !== null && reply !== '' && number > 1e12) return 'a time'
  if (reply !== null && reply !== '' && number > 1_000) return Math.round(number / 60_000)
  return typeof reply === 'string' ? reply.replace(/1:\d+:/g, '1:') : reply === null ? null : String(reply)
}

it('the scripts of the simulation do what those in Lua do', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 3, arbitrary: save }, touch, destroy, load), {
        minLength: 3,
        maxLength: 14,
      }),
      async calls => {
        await redis.flushall()
        const clock = new ManualClock()
        const model = new SimulatedRedis(clock)
        let seen = ['', '']
        for (const { name, keys, args, seen: at } of calls) {
          const script = SCRIPTS[name]
          // No two tombstones are of the same millisecond.
          clock.advance(2)
          if (name === 'destroy') await sleep(2)
          const [there = [], here = []] = seen.map(tombstones =>
            args.map((arg, index) => (index === at ? tombstones : arg)),
          )
          const real = await redis.eval(script.lua, keys.length, ...keys, ...there.map(String))
          const told = model.execute(script, keys, here)
          expect(timeless(told), name).toEqual(timeless(real))
          if (name === 'load') seen = [real, told].map(reply => String((reply as unknown[])[3]))
          if (name === 'save') seen = [real, told].map(reply => String((reply as unknown[])[1]))
        }
        const members = [
          await redis.zrange(INDEX, 0, '-1'),
          model.indexes.entries(INDEX).map(([member]) => member),
        ]
        expect(members[1]?.sort()).toEqual(members[0]?.sort())
      },
    ),
    { numRuns: 300 },
  )
}, 60_000)

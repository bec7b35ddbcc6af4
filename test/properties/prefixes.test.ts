import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, OptionError, type StoreOptions } from '../../src/index.js'
import { hold, openStore, readyStore } from '../store/open-store.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { oddText } from './odd-values.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

interface Data {
  user?: string
}

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

const prefix = oddText(6).filter(text => text !== '' && text.isWellFormed() && !text.startsWith('crs:'))
const apart = (one: string, other: string) => !one.startsWith(other) && !other.startsWith(one)

/** What the prefix would stand for too, if it were a pattern. */
function meant(prefix: string): string[] {
  return [
    prefix.replaceAll('*', ''),
    prefix.replaceAll('*', 'ab'),
    prefix.replaceAll('?', 'a'),
    prefix.replaceAll(/\[.*?\]/gs, 'a'),
    prefix.replaceAll('\\', ''),
    prefix.slice(0, -1),
    prefix.toUpperCase(),
  ].filter(text => apart(text, prefix))
}

function alone(options: StoreOptions<Data, 'user'>) {
  return new ClusteredRedisStore<Data, 'user'>({
    cache: false,
    cluster: false,
    indexes: { user: ({ user }) => user },
    ...options,
  })
}

describe('two stores with different prefixes', () => {
  it('touch nothing but their own keys, whatever is in the prefixes', async () => {
    await fc.assert(
      fc.asyncProperty(prefix, prefix, fc.oneof(fc.constant(''), prefix), async (one, other, keyPrefix) => {
        fc.pre(apart(one, other))
        await redis.flushall()
        const client = keyPrefix === '' ? redis : server.client({ keyPrefix })
        const [mine, theirs] = [one, other].map(prefix => alone({ redis: client, prefix })) as [
          ReturnType<typeof alone>,
          ReturnType<typeof alone>,
        ]
        const foreign = meant(one).map(text => `${keyPrefix}${text}1`)
        for (const key of foreign) await redis.set(key, '{"user":"ada"}')
        const ids = ['1', '2', '*', 'a']
        for (const store of [mine, theirs]) for (const id of ids) await store.set(id, { user: 'ada' })
        const others = foreign.filter(key => key.startsWith(keyPrefix + other))
        const before = await redis.mget(...foreign, `${keyPrefix}${other}1`)

        expect((await mine.ids()).sort()).toEqual([...ids].sort())
        expect(await mine.length()).toBe(ids.length)
        expect(await mine.all()).toHaveLength(ids.length)
        expect(await mine.findBy(() => true)).toHaveLength(ids.length)
        expect(await mine.by('user', 'ada').count()).toBe(ids.length)
        await mine.destroy('1')
        expect(await mine.by('user', 'ada').revoke()).toMatchObject({ deleted: ids.length - 1 })
        await mine.set('3', {})
        await mine.set('4', {})
        expect(await mine.bulkDelete(() => true)).toMatchObject({ deleted: 2 })
        await mine.set('5', {})
        await mine.clear()
        expect(await mine.length()).toBe(0)
        expect(await redis.mget(...foreign, `${keyPrefix}${other}1`)).toEqual(before)
        expect(await theirs.by('user', 'ada').count()).toBe(ids.length)
        expect(await theirs.length()).toBe(
          new Set([...ids.map(id => keyPrefix + other + id), ...others]).size,
        )

        await Promise.all([mine.shutdown(), theirs.shutdown()])
        if (client !== redis) client.disconnect()
      }),
      runs(
        60,
        [
          ['a*', 'ab', ''],
          ['[ab]', 'a', ''],
          ['a?', 'ab', 'k*'],
          ['\\*', '*', ''],
          ['{a}', '{a', '{}'],
        ].filter(([one = '', other = '']) => apart(one, other)),
      ),
    )
  })

  it('that hear their own channel only keep what they hold when the other is cleared', async () => {
    for (const [one, other] of [
      ['a*', 'ab'],
      ['*', 'a'],
      ['s[e]:', 'se:'],
      ['é\n', '\u2028🦊'],
    ]) {
      await redis.flushall()
      const [mine, theirs] = [
        await readyStore({ redis: server.url, prefix: one }),
        await readyStore({ redis: server.url, prefix: other }),
      ]
      await theirs.set('1', { user: 'ada' })
      await hold(theirs, '1')
      await mine.set('1', { user: 'bob' })
      await mine.clear()
      expect(theirs.coordinator.localCache.size).toBe(1)
      expect(await theirs.get('1')).toEqual({ user: 'ada' })
      expect(await theirs.length()).toBe(1)
      expect(theirs.cacheStats().messages.received).toBe(0)
    }
  })

  // A key says nothing of where its prefix ends: see the option in the README.
  it('of which one begins with the other share what stands under the longer', async () => {
    await redis.flushall()
    const [short, longer] = [
      openStore({ redis: server.url, prefix: 'app:', cache: false }),
      openStore({ redis: server.url, prefix: 'app:admin:', cache: false }),
    ]
    await longer.set('1', { user: 'ada' })
    await short.set('1', { user: 'bob' })
    expect(await longer.ids()).toEqual(['1'])
    expect((await short.ids()).sort()).toEqual(['1', 'admin:1'])
    await longer.clear()
    expect(await short.ids()).toEqual(['1'])
    await longer.set('2', {})
    await short.clear()
    expect(await longer.length()).toBe(0)
  })
})

// In UTF-8 such a prefix is another one, so that the node would never hear its own channel.
it.each(['\ud83e', 'a\udd8a:'])(
  'a prefix or a channel with half of a surrogate pair (%j) is refused',
  text => {
    for (const options of [{ prefix: text }, { cluster: { channel: text } }, { cluster: { nodeId: text } }]) {
      expect(() => new ClusteredRedisStore({ redis, ...options })).toThrow(OptionError)
      expect(() => new ClusteredRedisStore({ redis, ...options })).toThrow(
        /got '.*', allowed is well-formed text/,
      )
    }
  },
)

it('any other prefix is one under which the cache answers', async () => {
  await fc.assert(
    fc.asyncProperty(prefix, async prefix => {
      const store = new ClusteredRedisStore<Data>({
        redis,
        prefix,
        cluster: { maxStaleness: 5_000, probeEvery: 5 },
      })
      await until(() => store.healthy())
      await store.set('1', { user: 'ada' })
      const found = await store.get('1')
      expect(store.originOf(found ?? {})).toBe('memory')
      await store.shutdown()
    }),
    runs(15),
  )
})

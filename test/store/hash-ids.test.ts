import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type IdHashing, OptionError, RefusedError, SessionError, SessionHandle } from '../../src/index.js'
import { scanLivesScript } from '../../src/redis/scripts.js'
import { startExpressSite } from '../edges/express-site.js'
import { startKoaSite } from '../edges/koa-site.js'
import { Browser } from '../edges/nodes.js'
import { Monitor } from '../support/monitor.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type HashingNode, hold, NEIGHBOURS, startNode as start, writtenName } from './hashing-node.js'
import { type Data, expressSession, rejection } from './open-store.js'

const ID = 'Sx7QfVb2mK9tLw4RzN8cYd3HjG6pAe1U'
const OTHER_ID = 'pL0kMnJ8uHbV5gTfC3rXdE2wSzA1q9Yi'

let server: RedisServer
let admin: Redis
let prefix: string
let prefixes = 0

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
  return () => server.stop()
})

beforeEach(() => {
  prefix = `hashed${++prefixes}:`
})

const startNode = (hashIds: IdHashing, options = {}) =>
  start(hashIds, { redis: server.client(), prefix, ...options })

/** Every key of a session, whatever it is named by. */
const sessionKeys = async () => (await admin.keys(`${prefix}*`)).sort()
const ourKeys = async () => (await admin.keys('*')).filter(key => key.includes(prefix))
/** For events: they carry the id where it is not hashed. */
const nameOf = (node: HashingNode, hashIds: IdHashing, id: string) =>
  hashIds === false ? id : String(node.handleOf(id))

describe.each(NEIGHBOURS)('a node with hashIds %o beside one with %o', (one, other) => {
  const pair = async () => [await startNode(one), await startNode(other)] as const

  it('has its sessions read, and its changes heard, by the other', async () => {
    const [a, b] = await pair()
    await a.set(ID, { number: 1 })
    expect(await sessionKeys()).toEqual([prefix + writtenName(a, one, ID)])
    expect(await b.get(ID)).toEqual({ number: 1 })
    const held = await hold(b, ID)
    held.number = 2
    await a.get(ID)
    await b.set(ID, held)
    expect(await sessionKeys()).toEqual([prefix + writtenName(b, other, ID)])
    await until(async () => (await a.get(ID))?.number === 2)
    await a.set(ID, { number: 3 })
    expect(await sessionKeys()).toEqual([prefix + writtenName(a, one, ID)])
    await until(async () => (await b.get(ID))?.number === 3)
    for (const node of [a, b]) expect(node.cacheStats().refusedSaves).toBe(0)
  })

  it('destroys for both, and no late save of either brings it back (guards: tombstones of both names)', async () => {
    const [a, b] = await pair()
    for (const [maker, id] of [
      [a, ID],
      [b, OTHER_ID],
    ] as const) {
      await maker.set(id, { number: 1 })
      // What each holds in memory, in the hands of a request.
      const late: Data[] = []
      for (const node of [a, b]) late.push(await hold(node, id))
      await a.destroy(id)
      expect(await sessionKeys()).toEqual([])
      for (const node of [a, b]) await until(async () => (await node.get(id)) === undefined)
      for (const [index, node] of [a, b].entries()) {
        await expect(node.set(id, { ...late[index], number: 2 })).rejects.toThrow(RefusedError)
        await expect(node.set(id, late[index] as Data)).rejects.toThrow(RefusedError)
        await node.touch(id, { number: 3 })
        expect(await node.get(id)).toBeUndefined()
      }
      expect(await sessionKeys()).toEqual([])
    }
    const left = await ourKeys()
    expect(left.filter(key => !key.startsWith('crs:tombstone:'))).toEqual([])
  })

  it('moves the end of a session for both, and tells the other if it comes sooner', async () => {
    const [a, b] = await pair()
    await b.set(ID, expressSession({ number: 1 }, 60_000))
    await hold(b, ID)
    await a.touch(ID, expressSession({}, 5_000))
    const [key, ...others] = await sessionKeys()
    expect(others).toEqual([])
    expect(await admin.pttl(key as string)).toBeLessThanOrEqual(5_500)
    await until(async () => {
      const found = await b.get(ID)
      return found !== undefined && Number(found.cookie?.expires) - Date.now() < 6_000
    })
    await b.touch(ID, expressSession({}, 90_000))
    expect(await sessionKeys()).toHaveLength(1)
    a.evictFromCache(ID)
    const moved = await a.get(ID)
    expect(Number(moved?.cookie?.expires) - Date.now()).toBeGreaterThan(80_000)
    expect(moved?.number).toBe(1)
  })

  it('counts, lists and finds each session once, whichever name it is under', async () => {
    const [a, b] = await pair()
    const ids = Array.from({ length: 20 }, (_, number) => `session-${number}`)
    await Promise.all(ids.map((id, number) => (number % 2 ? a : b).set(id, { user: id, number })))
    for (const [node, hashIds] of [
      [a, one],
      [b, other],
    ] as const) {
      expect(await node.size()).toBe(20)
      expect(await node.countBy(() => true)).toBe(20)
      const named = new Set(ids.map(id => nameOf(node, hashIds, id)))
      expect(new Set((await node.allSessionIds()).map(String))).toEqual(named)
      const views = await node.findBy(({ data }) => (data.number ?? 0) >= 10)
      expect(views.map(({ id, data }) => [String(id), data.user]).sort()).toEqual(
        ids
          .slice(10)
          .map(id => [nameOf(node, hashIds, id), id])
          .sort(),
      )
      for (const { id } of views) expect(id instanceof SessionHandle).toBe(hashIds !== false)
    }
  })

  it('deletes in bulk what either made, for both', async () => {
    const [a, b] = await pair()
    const ids = Array.from({ length: 20 }, (_, number) => `session-${number}`)
    await Promise.all(ids.map((id, number) => (number % 2 ? a : b).set(id, { user: id, number })))
    const late = await Promise.all(ids.map(id => b.get(id)))
    const result = await a.bulkDelete(({ data }) => (data.number ?? 0) < 10)
    expect(result).toMatchObject({ scanned: 20, matched: 10, deleted: 10, failed: 0, aborted: false })
    expect(await sessionKeys()).toHaveLength(10)
    await until(async () => (await Promise.all(ids.map(id => b.get(id)))).filter(Boolean).length === 10)
    await expect(b.set('session-0', { ...late[0], number: -1 })).rejects.toThrow(RefusedError)
    await expect(b.set('session-1', { ...late[1], number: -1 })).rejects.toThrow(RefusedError)
    await b.get('session-10')
    await a.clear()
    expect(await sessionKeys()).toEqual([])
    await until(async () => (await b.get('session-10')) === undefined)
    expect(await b.size()).toBe(0)
  })
})

describe('the name of a session', () => {
  const ways = [
    { from: false, to: 'adopt', key: 'plain' },
    { from: 'adopt', to: true, key: 'hashed' },
    { from: true, to: 'adopt', key: 'plain' },
  ] as const

  it.each(ways)('changes at a save on the way from $from to $to', async ({ from, to, key }) => {
    const [a, b] = [await startNode(from), await startNode(to)]
    await a.set(ID, { number: 1 })
    const [before] = await sessionKeys()
    await b.set(ID, { ...(await b.get(ID)), number: 2 })
    const after = prefix + (key === 'plain' ? ID : b.handleOf(ID))
    expect(await sessionKeys()).toEqual([after])
    expect(before === after).toBe(from === false)
  })

  it.each(ways)('changes at a touch on the way from $from to $to', async ({ from, to, key }) => {
    const [a, b] = [await startNode(from), await startNode(to)]
    await a.set(ID, expressSession({ user: 'ada' }, 60_000))
    await b.touch(ID, expressSession({}, 120_000))
    const after = prefix + (key === 'plain' ? ID : b.handleOf(ID))
    expect(await sessionKeys()).toEqual([after])
    expect(await admin.pttl(after)).toBeGreaterThan(100_000)
    expect((await b.get(ID))?.user).toBe('ada')
    await until(async () => (await a.get(ID))?.user === 'ada')
  })

  it.each(ways)(
    'takes the end along from $from to $to if the request left it alone (guards: keepEnd)',
    async ({ from, to }) => {
      const [a, b] = [await startNode(from), await startNode(to)]
      await a.set(ID, expressSession({ number: 1 }, 60_000))
      await admin.pexpire((await sessionKeys())[0] as string, 300_000)
      const session = (await b.get(ID)) as Data
      session.number = 2
      await b.set(ID, session)
      const keys = await sessionKeys()
      expect(keys).toHaveLength(1)
      expect(await admin.pttl(keys[0] as string)).toBeGreaterThan(290_000)
    },
  )

  it('is one after a save of somebody who has not read the session (guards: what is left under the id)', async () => {
    const [adopting, hashing] = [
      await startNode('adopt', { cache: false }),
      await startNode(true, { cache: false }),
    ]
    const save = async () => {
      await adopting.set(ID, { number: 1 })
      await hashing.set(ID, { number: 2 })
    }
    await save()
    expect(await hashing.size()).toBe(1)
    await hashing.revoke(SessionHandle.from(String(hashing.handleOf(ID))))
    for (const node of [adopting, hashing]) expect(await node.get(ID)).toBeUndefined()
    expect(await sessionKeys()).toEqual([])
    for (const key of await ourKeys()) await admin.del(key)
    // What it held before is not to come back either when it ends.
    await save()
    const key = `${prefix}${hashing.handleOf(ID)}`
    await admin.pexpire(key, 1)
    await until(async () => (await admin.exists(key)) === 0)
    for (const node of [adopting, hashing]) expect(await node.get(ID)).toBeUndefined()
  })

  it('is never missing for a moment, nor double, while both nodes write at once', async () => {
    const [a, b] = [await startNode('adopt', { cache: false }), await startNode(true, { cache: false })]
    await a.set(ID, expressSession({ number: 0 }, 60_000))
    const counts = new Set<number>()
    const rounds = async (node: HashingNode, ends: number) => {
      for (let number = 1; number <= 40; number++) {
        await (number % 2
          ? node.set(ID, expressSession({ number }, ends))
          : node.touch(ID, expressSession({}, ends)))
      }
    }
    const watch = { over: false }
    const watching = (async () => {
      const keys = [prefix + ID, prefix + a.handleOf(ID)]
      while (!watch.over) {
        counts.add(await admin.exists(...keys))
        if ((await a.get(ID)) === undefined || (await b.get(ID)) === undefined) counts.add(0)
        await nextTurn()
      }
    })()
    await Promise.all([rounds(a, 50_000), rounds(b, 90_000)])
    watch.over = true
    await watching
    expect([...counts]).toEqual([1])
  })
})

describe('what can be seen of an id', () => {
  it('nothing on the channel with hashIds: true', async () => {
    const heard: string[] = []
    const listener = server.client()
    await listener.subscribe(`crs:bus:0:${prefix}`)
    listener.on('message', (_channel, text) => heard.push(text))
    const node = await startNode(true)
    await lifeOf(node)
    await until(() => heard.some(text => text.includes('CacheClear')))
    expect(heard.filter(text => text.includes('SessionDeleted'))).not.toEqual([])
    expect(heard.filter(text => [ID, OTHER_ID].some(id => text.includes(id)))).toEqual([])
  })

  it("on the channel with 'adopt' both names: nodes with either know it by one of them", async () => {
    const heard: string[] = []
    const listener = server.client()
    await listener.subscribe(`crs:bus:0:${prefix}`)
    listener.on('message', (_channel, text) => heard.push(text))
    const node = await startNode('adopt')
    await node.set(ID, { number: 1 })
    await node.destroy(ID)
    await until(() => heard.length === 2)
    for (const text of heard) expect(JSON.parse(text).ids).toEqual([ID, String(node.handleOf(ID))])
  })

  it('nothing in the keys of living sessions with hashIds: true', async () => {
    const node = await startNode(true)
    await node.set(ID, { user: 'ada' })
    await node.set(OTHER_ID, { user: 'ada' })
    await node.touch(ID, { user: 'ada' })
    const keys = await ourKeys()
    expect(keys).toHaveLength(2)
    expect(keys.filter(key => [ID, OTHER_ID].some(id => key.includes(id)))).toEqual([])
  })

  it('nothing in any key with hashIds: true, tombstones neither', async () => {
    const node = await startNode(true)
    await node.set(ID, { user: 'ada' })
    await node.destroy(ID)
    const keys = await ourKeys()
    expect(keys.filter(key => key.includes(ID))).toEqual([])
  })

  it.skipIf(!realRedis())(
    'nothing in MONITOR of a session that lives, on a site of Express with hashIds: true',
    async () => {
      const monitor = await startMonitor()
      const { one, two } = await startExpressSite(server, undefined, {
        store: { hashIds: true as never, touchEvery: 0 },
        session: { rolling: true, cookie: { maxAge: 60_000 } },
      })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      for (const { url } of [two, one]) {
        await browser.get(`${url}/me`).expect(200)
        await browser.post(`${url}/count`).expect(200)
      }
      await one.store.coordinator.publishInvalidation(body.id)
      await two.store.touch(body.id, expressSession({}, 120_000))
      expect(await two.store.countBy(() => true)).toBe(1)
      const lines = (await monitor.told(admin)).map(args => args.join(' '))
      expect(lines.filter(line => line.includes(String(one.store.handleOf(body.id)))).length).toBeGreaterThan(
        5,
      )
      expect(lines.filter(line => line.includes(body.id)).slice(0, 1)).toEqual([])
    },
  )

  it.skipIf(!realRedis())(
    'nothing in MONITOR of a session that lives, on a site of Koa with hashIds: true',
    async () => {
      const monitor = await startMonitor()
      const { one, two } = await startKoaSite(server, undefined, {
        store: { hashIds: true as never, touchEvery: 0 },
        session: { rolling: true },
      })
      const browser = new Browser()
      await browser.post(`${one.url}/login`).expect(200)
      const { body } = await browser.get(`${two.url}/me`).expect(200)
      await browser.post(`${two.url}/count`).expect(200)
      await browser.get(`${one.url}/me`).expect(200)
      const lines = (await monitor.told(admin)).map(args => args.join(' '))
      expect(body.id.length).toBeGreaterThan(20)
      expect(lines.filter(line => line.includes(String(one.store.handleOf(body.id)))).length).toBeGreaterThan(
        3,
      )
      expect(lines.filter(line => line.includes(body.id)).slice(0, 1)).toEqual([])
    },
  )

  it.skipIf(!realRedis())(
    'nothing in MONITOR of what somebody sets who has read nothing, unless sessions from before may be left (guards: plain sessions)',
    async () => {
      const node = await startNode(true)
      const monitor = await startMonitor()
      const isNamed = async (id: string) => {
        await node.set(id, { user: 'ada' })
        return (await monitor.told(admin)).flat().some(argument => argument.includes(prefix + id))
      }
      let number = 0
      // It has looked through all keys, and found none.
      await until(async () => !(await isNamed(`blind-${++number}`)))
      expect(await isNamed('blind-at-last')).toBe(false)
      const adopting = await startNode('adopt')
      await adopting.set(ID, { number: 1 })
      await until(() => node.cacheStats().messages.received > 0)
      expect(await isNamed('blind-again')).toBe(true)
      await node.set(ID, { number: 2 })
      expect(await sessionKeys()).not.toContain(prefix + ID)
    },
  )

  it("with 'adopt' the id itself: the plain key is what it writes", async () => {
    const node = await startNode('adopt')
    await node.set(ID, { user: 'ada' })
    expect(await sessionKeys()).toEqual([prefix + ID])
  })

  it.each(['adopt', true] as const)('nothing in events and handles with hashIds: %o', async hashIds => {
    const node = await startNode(hashIds)
    const text = String(node.handleOf(ID))
    const events: unknown[] = []
    for (const name of ['refused', 'unreadable', 'error'])
      node.on(name, (detail: unknown) => events.push([name, detail]))
    await node.set(ID, expressSession({ user: 'ada' }))
    const late = (await node.get(ID)) as Data
    await node.destroy(ID)
    await new Promise<void>((resolve, reject) =>
      node.set(ID, { ...late, number: 2 } as never, error => (error ? reject(error) : resolve())),
    )
    for (const name of [ID, text]) {
      await admin.set(`${prefix}${name}`, 'no json')
      expect(await node.get(ID)).toBeUndefined()
      expect(await node.findBy(() => true)).toEqual([])
      await admin.del(`${prefix}${name}`)
    }
    expect(events[0]).toEqual(['refused', { id: text, reason: 'destroyed' }])
    expect(events.slice(1).map(event => (event as [string, { id: string }])[1].id)).toEqual(
      Array(4).fill(text),
    )
    expect(inspect(events)).not.toContain(ID)
    const handle = node.handleOf(ID)
    for (const view of [
      inspect(handle, { showHidden: true, depth: 9 }),
      JSON.stringify(handle),
      `${handle}`,
      inspect(structuredClone(handle)),
      JSON.stringify(Object.getOwnPropertyDescriptors(handle)),
    ]) {
      expect(view).not.toContain(ID)
    }
  })

  /** Everything that is done to sessions in the course of their lives. */
  async function lifeOf(node: HashingNode): Promise<void> {
    await node.get(OTHER_ID)
    await node.set(ID, expressSession({ user: 'ada' }, 60_000))
    node.evictFromCache(ID)
    const seen = (await node.get(ID)) as Data
    await node.set(ID, { ...seen, number: 2 })
    await node.touch(ID, expressSession({}, 120_000))
    await node.coordinator.publishInvalidation(ID)
    await node.findBy(() => true)
    await node.allSessionIds()
    await node.destroy(ID)
    await node.set(OTHER_ID, { user: 'ada' })
    const [view] = await node.findBy(() => true)
    await node.revoke(SessionHandle.from(String(view?.id)))
    await node.destroy(OTHER_ID)
    await node.clear()
  }

  async function startMonitor(): Promise<Monitor> {
    const monitor = await Monitor.start(server.port)
    onTestFinished(() => monitor.stop())
    return monitor
  }
})

describe('a node that has missed messages', () => {
  it('finds what was made under its id meanwhile (guards: plain sessions)', async () => {
    const [adopting, hashing] = [await startNode('adopt'), await startNode(true)]
    const flushes = () => hashing.cacheStats().flushes
    const before = flushes()
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await adopting.set(ID, { number: 1 })
    await until(() => flushes() > before && hashing.healthy())
    await hashing.set(ID, { number: 2 })
    expect(await sessionKeys()).toEqual([`${prefix}${hashing.handleOf(ID)}`])
    await hashing.revoke(SessionHandle.from(String(hashing.handleOf(ID))))
    for (const node of [adopting, hashing]) await until(async () => (await node.get(ID)) === undefined)
  })
})

describe('revoke', () => {
  it.each(['adopt', true] as const)(
    'destroys what stands under its id also if no replica confirms it: hashIds %o',
    async hashIds => {
      const node = await startNode(hashIds, { waitForReplicas: { count: 1, timeout: 50 } })
      await (await startNode('adopt')).set(ID, { user: 'ada' })
      const error = await rejection(node.revoke(SessionHandle.from(String(node.handleOf(ID)))))
      expect((error as { code?: string }).code).toMatch(/^ERR_(REPLICATION|PARTIAL)$/)
      expect(await sessionKeys()).toEqual([])
      expect(await node.get(ID)).toBeUndefined()
    },
  )

  it.each(['adopt', true] as const)(
    'destroys by a handle of a list, on every node: hashIds %o',
    async hashIds => {
      const [a, b] = [await startNode(hashIds), await startNode(hashIds === true ? 'adopt' : false)]
      // One under each name.
      await a.set(ID, { user: 'ada' })
      await b.set(OTHER_ID, { user: 'ada' })
      for (const id of [ID, OTHER_ID]) await hold(b, id)
      const late = (await b.get(ID)) as Data
      const views = await a.findBy(({ data }) => data.user === 'ada')
      expect(views).toHaveLength(2)
      for (const { id } of views) await a.revoke(id as SessionHandle)
      expect(await sessionKeys()).toEqual([])
      for (const id of [ID, OTHER_ID]) await until(async () => (await b.get(id)) === undefined)
      await expect(b.set(ID, { ...late, number: 2 })).rejects.toThrow(RefusedError)
      await expect(b.set(OTHER_ID, late)).rejects.toThrow(RefusedError)
    },
  )

  it.each(NEIGHBOURS)(
    'destroys by the text of a handle what stands under its plain id too: hashIds %o beside %o',
    async (one, other) => {
      const [a, b] = [await startNode(one), await startNode(other)]
      const revoker = one === false ? b : a
      for (const [maker, id] of [
        [a, ID],
        [b, OTHER_ID],
      ] as const) {
        await maker.set(id, { user: id })
        await b.get(id)
        await revoker.set('bystander', { user: 'bob' })
        const text = JSON.parse(JSON.stringify({ handle: revoker.handleOf(id) })).handle
        await revoker.revoke(SessionHandle.from(text))
        expect(await sessionKeys()).toHaveLength(1)
        for (const node of [a, b]) {
          await until(async () => (await node.get(id)) === undefined)
          await expect(node.set(id, { user: 'again' })).rejects.toThrow(RefusedError)
        }
        expect((await revoker.get('bystander'))?.user).toBe('bob')
      }
    },
  )

  /** What is to be destroyed at once, and how. */
  const walks: [
    way: string,
    at: (ids: string[]) => string[][],
    destroy: (node: HashingNode, id: string) => unknown,
  ][] = [
    [
      'revoke',
      ids => ids.map(id => [id]),
      (node, id) => node.revoke(SessionHandle.from(String(node.handleOf(id)))),
    ],
    ['bulkDelete', ids => [ids], node => node.bulkDelete(({ data }) => data.user === 'ada')],
    ['clear', ids => [ids], node => node.clear()],
  ]
  it.skipIf(!realRedis()).each(walks)(
    '%s misses no session that changes its name while the keys are walked through (guards: a move behind SCAN)',
    async (_way, at, destroy) => {
      const client = server.client()
      const [node, toucher] = [await startNode(true, { redis: client }), await startNode(true)]
      const adopting = await startNode('adopt')
      const fillers = Array.from({ length: 2_500 }, (_, number) => `${prefix}filler-${number}`)
      await admin.mset(...fillers.flatMap(key => [key, '{}']))
      const ids = Array.from({ length: 40 }, (_, number) => `session-${number}`)
      await Promise.all(ids.map(id => adopting.set(id, expressSession({ user: 'ada' }, 60_000))))
      let moving: string[] = []
      let moved = 0
      type Send = (...args: unknown[]) => Promise<[string, unknown[]]>
      const scan = client.scanBuffer.bind(client) as unknown as Send
      const script = (client as unknown as { evalshaBuffer: Send }).evalshaBuffer.bind(client)
      const moveBehind = async (send: Send, args: unknown[]) => {
        const step = await send(...args)
        const keys = step[1].map(String)
        // Of many that the walk has not come to yet, some get a key that it has passed already.
        const ahead = moving.filter(id => !keys.includes(prefix + id))
        moving = []
        moved += ahead.length
        await Promise.all(ahead.map(id => toucher.touch(id, expressSession({}, 120_000))))
        return step
      }
      Object.assign(client, {
        scanBuffer: (...args: unknown[]) => moveBehind(scan, args),
        evalshaBuffer: (...args: unknown[]) =>
          args[0] === scanLivesScript.sha ? moveBehind(script, args) : script(...args),
      })
      for (const batch of at(ids)) {
        moving = batch
        await destroy(node, batch[0] as string)
      }
      expect(moved).toBeGreaterThan(10)
      const left = await Promise.all(ids.map(id => toucher.get(id)))
      expect(left.filter(Boolean)).toEqual([])
    },
  )

  it('takes handles and nothing else', async () => {
    const node = await startNode(true)
    await node.set(ID, { user: 'ada' })
    for (const thing of [ID, String(node.handleOf(ID)), undefined, { id: ID }]) {
      const error = await rejection(node.revoke(thing as never))
      expect(error).toBeInstanceOf(SessionError)
      expect(inspect(error, { showHidden: true })).not.toContain(ID)
    }
    expect((await node.get(ID))?.user).toBe('ada')
  })

  it('is an error of configuration while hashIds is off', async () => {
    const node = await startNode(false)
    await node.set(ID, { user: 'ada' })
    const error = await rejection(node.revoke(node.handleOf(ID)))
    expect(error).toBeInstanceOf(OptionError)
    expect(inspect(error, { showHidden: true })).not.toContain(ID)
    expect((await node.get(ID))?.user).toBe('ada')
  })
})

describe.each([false, 'adopt', true] as const)('where an id is meant, hashIds %o', hashIds => {
  const forms: [form: string, of: (handle: SessionHandle) => unknown][] = [
    ['a handle', handle => handle],
    ['the text of a handle', handle => String(handle)],
    ['a handle from text', handle => SessionHandle.from(String(handle))],
  ]

  it.each(forms)('%s is refused, and opens no session', async (_form, of) => {
    const node = await startNode(hashIds)
    await node.set(ID, expressSession({ user: 'ada' }))
    const given = of(node.handleOf(ID)) as string
    const before = await admin.dbsize()
    const callback = (call: (done: (error?: unknown) => void) => void) =>
      new Promise<void>((resolve, reject) => call(error => (error ? reject(error) : resolve())))
    for (const attempt of [
      () => node.get(given),
      () => node.get(given, undefined, { ctx: {} }),
      () => callback(done => node.get(given, done)),
      () => node.set(given, { user: 'eve' }),
      () => callback(done => node.set(given, expressSession({ user: 'eve' }), done)),
      () => node.touch(given, expressSession({}, 120_000)),
      () => node.destroy(given),
      () => callback(done => node.destroy(given, done)),
      async () => node.handleOf(given),
    ]) {
      const error = await rejection(Promise.resolve(attempt()))
      expect(error).toBeInstanceOf(SessionError)
      // Nor may it be repeated: whoever passes a handle by mistake may pass an id as well.
      expect(String(error)).not.toMatch(/[0-9a-f]{64}/)
    }
    expect(await admin.dbsize()).toBe(before)
    expect((await node.get(ID))?.user).toBe('ada')
  })

  it.each(forms)('%s names a session where no session is opened, or is refused', async (_form, of) => {
    const node = await startNode(hashIds)
    const listening = await startNode(hashIds)
    await node.set(ID, { user: 'ada' })
    const given = of(node.handleOf(ID)) as string
    const inMemory = async (store: HashingNode) => {
      const found = await store.get(ID)
      return found !== undefined && store.originOf(found) === 'memory'
    }
    for (const store of [node, listening]) await until(() => inMemory(store))
    if (hashIds !== false && typeof given === 'object') {
      expect(node.evictFromCache(given)).toBe(true)
      expect(node.evictFromCache(given)).toBe(false)
      await until(() => inMemory(node))
      await node.coordinator.publishInvalidation(given)
      await until(() => listening.coordinator.localCache.size === 0)
      return
    }
    const refusal = hashIds === false && typeof given === 'object' ? OptionError : SessionError
    expect(() => node.evictFromCache(given)).toThrow(refusal)
    expect(await rejection(node.coordinator.publishInvalidation(given))).toBeInstanceOf(refusal)
    for (const store of [node, listening]) expect(await inMemory(store)).toBe(true)
  })

  it('a handle is made from text that looks like one, and equals another of the same session', async () => {
    const node = await startNode(hashIds)
    const handle = node.handleOf(ID)
    expect(String(handle)).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(handle.equals(node.handleOf(ID))).toBe(true)
    expect(handle.equals(SessionHandle.from(String(handle)))).toBe(true)
    expect(handle.equals(node.handleOf(OTHER_ID))).toBe(false)
    expect(handle.equals(String(handle) as never)).toBe(false)
    for (const text of [
      ID,
      '',
      `${handle}0`,
      ` ${handle}`,
      String(handle).toUpperCase(),
      undefined,
      handle,
    ]) {
      const attempt = () => SessionHandle.from(text as never)
      expect(attempt).toThrow(SessionError)
      expect(attempt).not.toThrow(ID)
    }
  })
})

describe('a node that does not hash, over what one that did has left', () => {
  it('does not list it, and clear removes it', async () => {
    const [hashing, plain] = [await startNode(true), await startNode(false)]
    await hashing.set(ID, { user: 'left' })
    await plain.set(OTHER_ID, { user: 'ada' })
    expect(await plain.size()).toBe(1)
    expect(await plain.length()).toBe(1)
    expect(await plain.allSessionIds()).toEqual([OTHER_ID])
    expect(await plain.findBy(() => true)).toMatchObject([{ id: OTHER_ID }])
    expect(await plain.all()).toMatchObject([{ id: OTHER_ID }])
    expect(await plain.bulkDelete(() => true)).toMatchObject({ matched: 1, deleted: 1 })
    expect(await sessionKeys()).toEqual([`${prefix}${hashing.handleOf(ID)}`])
    expect(await plain.get(ID)).toBeUndefined()
    expect(plain.cacheStats().unreadableSessions).toBe(0)
    await plain.clear()
    expect(await sessionKeys()).toEqual([])
    await until(async () => (await hashing.get(ID)) === undefined)
  })
})

describe('a site on hashIds: true', () => {
  // The sites take the options of a store that does not hash.
  const store = { hashIds: true as never }

  it('of Express: login, read, logout on the other node, late save refused', async () => {
    const { one, two, prefix, gate } = await startExpressSite(server, undefined, { store })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const text = String(one.store.handleOf(body.id))
    expect(await admin.keys(`${prefix}*`)).toEqual([prefix + text])
    await browser.get(`${two.url}/me`).expect(200)
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    gate.open()
    expect((await slow).status).toBe(200)
    expect(one.refused).toEqual([{ id: text, reason: 'destroyed' }])
    expect(await admin.keys(`${prefix}*`)).toEqual([])
    for (const { url } of [one, two]) {
      await until(async () => (await browser.get(`${url}/me`)).status === 401)
    }
    await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200)
  })

  it('of Koa: login, read, logout on the other node, late save refused', async () => {
    const { one, two, prefix, gate } = await startKoaSite(server, undefined, { store })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const keys = await admin.keys(`${prefix}*`)
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatch(/sha256:[0-9a-f]{64}$/)
    if (body.id) expect(keys[0]).not.toContain(body.id)
    await browser.get(`${two.url}/me`).expect(200)
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(200)
    gate.open()
    expect((await slow).status).toBe(200)
    expect(one.refused).toEqual([{ id: keys[0]?.slice(prefix.length), reason: 'destroyed' }])
    expect(await admin.keys(`${prefix}*`)).toEqual([])
    for (const { url } of [one, two]) {
      await until(async () => (await browser.get(`${url}/me`)).status === 401)
    }
  })
})

import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { freePort } from '../support/free-port.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import type { RequestKind } from './session-ledger.js'

/** Something that happens to Redis, prepared. */
export interface Fault {
  /** Where the apps find Redis. */
  readonly url: string
  begin(): Promise<void>
  /** How long it stands before it is ended. */
  readonly lasts: number
  /** Resolves when it is over. */
  end(): Promise<void>
}

export interface Scenario {
  readonly name: string
  /** The apps start into it: nobody can have logged in before. */
  readonly atBoot?: boolean
  /** Redis comes back without what it has acknowledged. */
  readonly losesData?: boolean
  /** What must be answered without an error all the while. */
  readonly goesOn: readonly RequestKind[]
  prepare(): Promise<Fault>
}

const nothing = async () => {}

export const scenarios: readonly Scenario[] = [
  {
    name: 'nothing happens',
    goesOn: ['guest', 'me', 'count', 'login', 'logout'],
    prepare: async () => ({ url: (await startRedis()).url, begin: nothing, lasts: 1_000, end: nothing }),
  },
  {
    name: 'absent at boot, comes after 2 s',
    atBoot: true,
    goesOn: ['guest'],
    prepare: async () => {
      const port = await freePort()
      return {
        url: `redis://127.0.0.1:${port}`,
        begin: nothing,
        lasts: 2_000,
        end: () => startRedis({ port }).then(() => {}),
      }
    },
  },
  { name: 'SIGSTOP for 1 s', goesOn: ['guest'], prepare: () => stopped(1_000) },
  { name: 'SIGSTOP for 5 s', goesOn: ['guest'], prepare: () => stopped(5_000) },
  {
    name: 'killed, restarted after 2 s with its data',
    goesOn: ['guest'],
    // Every write is on disk before it is acknowledged.
    prepare: async () => killed(await startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })),
  },
  {
    name: 'killed, restarted after 2 s without its data',
    losesData: true,
    goesOn: ['guest'],
    prepare: async () => killed(await startRedis()),
  },
  {
    name: '`maxmemory` reached, `noeviction`, for 2 s',
    goesOn: ['guest', 'me', 'logout'],
    prepare: full,
  },
  { name: '`CLIENT PAUSE 2000 ALL`', goesOn: ['guest'], prepare: () => clientsPaused('ALL') },
  { name: '`CLIENT PAUSE 2000 WRITE`', goesOn: ['guest'], prepare: () => clientsPaused('WRITE') },
  {
    name: 'a proxy adds 300 ms each way, for 3 s',
    goesOn: ['guest'],
    prepare: async () => {
      const proxy = await startProxy((await startRedis()).port)
      return {
        url: proxy.url,
        begin: async () => proxy.delay(300),
        lasts: 3_000,
        end: async () => proxy.delay(0),
      }
    },
  },
]

async function stopped(duration: number): Promise<Fault> {
  const server = await startRedis()
  return {
    url: server.url,
    begin: () => server.pause(),
    lasts: duration,
    end: async () => server.resume(),
  }
}

function killed(server: RedisServer): Fault {
  return { url: server.url, begin: () => server.kill(), lasts: 2_000, end: () => server.restart() }
}

async function clientsPaused(what: 'ALL' | 'WRITE'): Promise<Fault> {
  const server = await startRedis()
  const admin = server.client()
  return {
    url: server.url,
    begin: async () => void (await admin.call('CLIENT', 'PAUSE', 2_000, what)),
    lasts: 0,
    // A write of nothing is held up by both kinds, until the end.
    end: async () => void (await admin.del('nothing')),
  }
}

async function full(): Promise<Fault> {
  const server = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
  const admin = server.client()
  const filling = new AbortController()
  let filled = Promise.resolve()
  return {
    url: server.url,
    begin: async () => {
      const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1])
      await admin.config('SET', 'maxmemory', used + 256 * 1024)
      await fill(admin)
      // Logouts make room.
      filled = (async () => {
        while (!filling.signal.aborted) {
          await fill(admin)
          await sleep(5)
        }
      })()
    },
    lasts: 2_000,
    end: async () => {
      filling.abort()
      await filled
      await admin.config('SET', 'maxmemory', '0')
    },
  }
}

let fillers = 0

/** Until Redis takes no more. */
async function fill(admin: Redis): Promise<void> {
  for (;;) {
    try {
      await admin.set(`filler:${++fillers}`, 'x'.repeat(512))
    } catch (error) {
      if (String(error).includes('OOM')) return
      throw error
    }
  }
}

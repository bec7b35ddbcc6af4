import type { Cookie } from 'express-session'
import { onTestFinished } from 'vitest'
import { ClusteredRedisStore, type StoreEvents, type StoreOptions } from '../../src/index.js'
import type { IdHashing } from '../../src/redis/session-names.js'
import { realRedis } from '../support/redis-server.js'

/** The sessions of users. */
export interface UserSession {
  cookie?: Cookie | { originalMaxAge: number | null; expires?: Date | string | null }
  userId?: number | undefined
  tags?: string[]
  at?: Date | string
  [key: string]: unknown
}

export type UserStore = ClusteredRedisStore<UserSession, 'userId' | 'tags', IdHashing>
export type UserStoreOptions = Partial<StoreOptions<UserSession, 'userId' | 'tags', IdHashing>>

let opened = 0

/** A store with indexes that notices fast what it is to notice, and is shut down after the test. */
export function openUserStore(options: UserStoreOptions): UserStore {
  const { cluster = {}, ...rest } = options
  const store: UserStore = new ClusteredRedisStore<UserSession, 'userId' | 'tags', IdHashing>({
    ...(realRedis() ? {} : { deadline: 10_000 }),
    indexes: { userId: session => session.userId, tags: session => session.tags },
    cluster: cluster && { nodeId: `user-node-${++opened}`, maxStaleness: 5_000, probeEvery: 25, ...cluster },
    ...rest,
  })
  onTestFinished(() => store.shutdown())
  return store
}

/** The same once its cache answers. */
export async function readyUserStore(options: UserStoreOptions): Promise<UserStore> {
  const store = openUserStore(options)
  await store.ready()
  return store
}

const NAMES = ['created', 'destroyed', 'revoked', 'evicted', 'expired', 'refused', 'error'] as const

/** What a store says from now on: name, id and reason of each event. */
export function recordEvents(store: UserStore): string[] {
  const heard: string[] = []
  for (const name of NAMES) {
    store.on(name, (detail: StoreEvents[typeof name]) => {
      if (detail instanceof Error) heard.push(`error ${detail.code}`)
      else heard.push(`${name} ${detail.id} ${detail.reason}`)
    })
  }
  return heard
}

export function cookieOf(maxAge: number): NonNullable<UserSession['cookie']> {
  return { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge) }
}

/** The session as the store answers with it; a failed test if there is none. */
export async function loaded(store: UserStore, id: string): Promise<UserSession> {
  const session = await store.get(id)
  if (!session) throw new Error('there is no such session')
  return session
}

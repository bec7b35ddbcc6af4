// @ts-check
// What does it cost to find and to end all sessions of one user, who has 20 of them, among a million?
//
//   npm run bench:revocation
//   npm run bench:revocation -- --write     writes the result into docs/revocation-benchmark.md

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { rateOf, scanAheadAndRead, scanAndRead } from './bare-walks.js'
import { collectGarbage } from './measuring/garbage.js'
import { LIFE } from './measuring/session-of.js'
import { quantile } from './measuring/spread.js'
import { startProgress } from './reporting/progress.js'
import { reportOf } from './revocation-report.js'
import { startRedis } from './servers/redis.js'
import {
  bySet,
  DEADLINE,
  fill,
  openIndexed,
  SESSIONS_OF_USER,
  sessionsOfOneUser,
  USER,
} from './user-sessions.js'

const FEW = 10_000
const MANY = 1_000_000
/** As many as connect-redis survives. */
const SOME = 100_000
const WALKS = 7
const REVOCATIONS = 1_000
const WARMING_UP = 200

/** @param {number} bytes */
const megabytes = bytes => bytes / 2 ** 20

/** The walk over all sessions, beside what it cannot do without. @param {string} url */
async function measureWalk(url) {
  const redis = new Redis(url)
  const store = new ClusteredRedisStore({ redis: url, deadline: DEADLINE })
  await store.ready()
  const save = bySet(redis)
  await fill(`${SOME} sessions, by SET`, { to: SOME, save })
  const connectRedis = [await measureConnectRedis(url)]
  await fill(`${MANY} sessions, by SET`, { from: SOME, to: MANY, save })
  /** @type {{ raw: number[], rawAhead: number[], ours: number[] }} */
  const rates = { raw: [], rawAhead: [], ours: [] }
  const heap = { before: 0, early: 0, late: 0, rssBefore: 0, rss: 0 }

  const deleteUser = async () => {
    const progress = startProgress('bulkDelete', MANY)
    let scanned = 0
    const watch = setInterval(() => {
      const { heapUsed, rss } = process.memoryUsage()
      if (scanned < MANY / 10) heap.early = Math.max(heap.early, megabytes(heapUsed))
      else heap.late = Math.max(heap.late, megabytes(heapUsed))
      heap.rss = Math.max(heap.rss, megabytes(rss))
    }, 5)
    const result = await store.bulkDelete(
      ({ data }) => /** @type {{ userId?: number }} */ (data).userId === USER,
      {
        onProgress: step => {
          scanned = step.scanned
          progress.show(scanned)
        },
      },
    )
    clearInterval(watch)
    progress.end()
    if (result.deleted !== SESSIONS_OF_USER) throw new Error(`deleted ${result.deleted}`)
    return result.scanned
  }
  // The first round warms up.
  for (let round = 0; round <= WALKS; round++) {
    collectGarbage()
    const raw = await rateOf(() => scanAndRead(redis))
    const rawAhead = await rateOf(() => scanAheadAndRead(redis))
    collectGarbage()
    if (round === 1) {
      const { heapUsed, rss } = process.memoryUsage()
      Object.assign(heap, {
        before: megabytes(heapUsed),
        rssBefore: megabytes(rss),
        early: 0,
        late: 0,
        rss: 0,
      })
    }
    const ours = await rateOf(deleteUser)
    await bySet(redis)(sessionsOfOneUser())
    if (round === 0) continue
    rates.raw.push(raw)
    rates.rawAhead.push(rawAhead)
    rates.ours.push(ours)
  }
  connectRedis.push(await measureConnectRedis(url))
  const redisVersion = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? ''
  await store.shutdown()
  redis.disconnect()
  return { rates, heap, connectRedis, redisVersion }
}

/** In a process of its own, since it may not survive it. @param {string} url */
async function measureConnectRedis(url) {
  const child = fork(new URL('connect-redis-all.js', import.meta.url), [url], { stdio: 'pipe' })
  let answer = ''
  let complaint = ''
  child.stdout?.on('data', chunk => {
    answer += chunk
  })
  child.stderr?.on('data', chunk => {
    complaint += chunk
  })
  const [code, signal] = await once(child, 'close')
  if (code === 0)
    return /** @type {{ seconds: number, heap: number, rss: number, count: number }} */ (JSON.parse(answer))
  const reason = /FATAL ERROR: [^\n]*|\w*Error: [^\n]*/.exec(complaint)?.[0]
  return { failure: `${signal ?? `exit code ${code}`}: ${reason ?? complaint.slice(-200)}` }
}

/** A store with an index over so many sessions. @param {string} url @param {number} count */
async function openFilled(url, count) {
  const redis = new Redis(url)
  const { store, save, revoke } = await openIndexed(url)
  await fill(`${count} sessions with an index, by store.set`, { to: count, save })
  const close = async () => {
    await store.shutdown()
    redis.disconnect()
  }
  return {
    store,
    redis,
    close,
    revoke,
    revoked: /** @type {number[]} */ ([]),
    bare: /** @type {number[]} */ ([]),
  }
}

/** Milliseconds. @param {() => Promise<unknown>} call */
async function timeOf(call) {
  const before = performance.now()
  await call()
  return performance.now() - before
}

/** By the index, beside a bare write of the same keys: in turns, among few sessions and among many. @param {string[]} urls */
async function measureRevocation([few = '', many = '']) {
  const sites = [await openFilled(few, FEW), await openFilled(many, MANY)]
  const progress = startProgress(`${REVOCATIONS} revocations in each`, REVOCATIONS)
  for (const { revoke } of sites) await revoke()
  for (let round = -WARMING_UP; round < REVOCATIONS; round++) {
    for (const { store, redis, revoke, revoked, bare } of round % 2 === 0 ? sites : [...sites].reverse()) {
      const sessions = sessionsOfOneUser()
      for (const { id, session } of sessions) await store.set(id, /** @type {never} */ (session))
      const texts = sessions.map(({ session }) => JSON.stringify(session))
      const wrote = await timeOf(() => {
        const pipeline = redis.pipeline()
        for (const [index, { id }] of sessions.entries()) {
          pipeline.set(`sess:${id}`, /** @type {string} */ (texts[index]), 'PX', LIFE)
        }
        return pipeline.exec()
      })
      const took = await timeOf(async () => {
        const { deleted } = await revoke()
        if (deleted !== SESSIONS_OF_USER) throw new Error(`revoked ${deleted}`)
      })
      // The first rounds warm up.
      if (round < 0) continue
      bare.push(wrote)
      revoked.push(took)
    }
    progress.show(Math.max(0, round + 1))
  }
  progress.end()
  for (const site of sites) await site.close()
  return sites.map(({ revoked, bare }) => ({ revoke: quantile(revoked, 0.5), bare: quantile(bare, 0.5) }))
}

const servers = await Promise.all([startRedis(), startRedis(), startRedis()])
const [walked, ...indexed] = servers.map(({ url }) => url)
try {
  const walk = await measureWalk(/** @type {string} */ (walked))
  await servers[0]?.stop()
  const revocation = await measureRevocation(indexed)
  const report = await reportOf({
    few: FEW,
    some: SOME,
    many: MANY,
    walks: WALKS,
    revocations: REVOCATIONS,
    walk,
    revocation,
  })
  console.log(`\n${report}`)
  if (process.argv.includes('--write')) {
    await writeFile(new URL('../docs/revocation-benchmark.md', import.meta.url), report)
  }
} finally {
  await Promise.all(servers.map(server => server.stop()))
}

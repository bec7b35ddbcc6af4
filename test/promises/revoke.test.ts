import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ClusteredRedisStore } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { realRedis, startRedis } from '../support/redis-server.js'
import { type Deed, SessionHistory } from './session-history.js'

// More of them: REVOKE_DEEDS=100000 npx vitest run test/promises/revoke.test.ts
const DEEDS = Number(process.env.REVOKE_DEEDS ?? 10_000)

async function startNode(url: string, name: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'revoking-node.js'), [url, name])
  atEndOfFile(async () => {
    child.kill('SIGKILL')
  })
  await once(child, 'message')
  return child
}

async function order(children: ChildProcess[], what: number | 'log in'): Promise<Deed[]> {
  const answers = children.map(async child => ((await once(child, 'message')) as [Deed[]])[0])
  for (const child of children) child.send(what)
  return (await Promise.all(answers)).flat()
}

it.skipIf(!realRedis())(
  'three processes log in, save, touch and revoke at random, 10,000 times: what is revoked stays so, and every other login is kept',
  async () => {
    const redis = await startRedis()
    const children = await Promise.all(['a', 'b', 'c'].map(name => startNode(redis.url, name)))
    await order(children, Math.ceil(DEEDS / children.length))
    const history = new SessionHistory(await order(children, 'log in'))
    const store = new ClusteredRedisStore<{ user: string }, 'user'>({
      redis: redis.url,
      cache: false,
      deadline: 10_000,
      indexes: { user: ({ user }) => user },
    })
    atEndOfFile(() => store.shutdown())
    const left = new Map((await store.findBy(() => true)).map(({ id, data }) => [id, data.user]))

    const faults: string[] = []
    const tell = (what: string, { sid, user }: Deed) => faults.push(`${sid} of ${user}: ${what}`)
    const shown = { ended: 0, refused: 0, kept: 0, servedWithinTheLease: 0 }
    for (const { login, later } of history.plain) {
      const revocations = history.revocationsOf(login)
      const final = revocations.filter(({ began }) => began > login.ended)
      const end = Math.min(...final.map(({ ended }) => ended))
      const effectiveBy = Math.min(...final.map(each => each.effectiveBy ?? Number.POSITIVE_INFINITY))
      for (const deed of later) {
        if (deed.kind === 'read' && deed.found) {
          if (deed.began >= effectiveBy) tell('was served after effectiveBy', login)
          else if (deed.began > end) shown.servedWithinTheLease++
        }
        if (deed.kind === 'save' && deed.began > end && deed.done)
          tell('was saved after it was revoked', login)
        if (deed.kind === 'save' && !deed.done) shown.refused++
        // Nobody has begun to revoke it by then, and it had been stored before.
        const safe = revocations.every(({ began, ended }) => ended < login.began || began > deed.ended)
        if (safe && deed.began > login.ended && deed.kind === 'read' && !deed.found)
          tell('was not found', login)
        if (safe && deed.kind === 'save' && !deed.done) tell('was refused a save', login)
      }
      if (final.length > 0) {
        shown.ended++
        if (left.has(login.sid)) tell('stands after it was revoked', login)
      }
      if (revocations.every(({ ended }) => ended < login.began)) {
        shown.kept++
        if (left.get(login.sid) !== login.user) tell('was lost', login)
      }
    }
    expect(faults).toEqual([])
    // Every session is in its index, and no index names another.
    for (const user of ['ada', 'bob', 'cyd']) {
      const named = (await store.by('user', user).list()).map(({ id }) => id).sort()
      expect(named).toEqual(
        [...left]
          .filter(([, owner]) => owner === user)
          .map(([sid]) => sid)
          .sort(),
      )
    }
    // Or nothing was shown.
    const count = (kind: Deed['kind']) => history.deeds.filter(deed => deed.kind === kind).length
    expect(history.deeds.length).toBeGreaterThanOrEqual(DEEDS)
    expect(count('revoke')).toBeGreaterThan(20)
    expect(count('change user')).toBeGreaterThan(20)
    expect(shown.ended).toBeGreaterThan(100)
    expect(shown.refused).toBeGreaterThan(10)
    expect(shown.kept).toBeGreaterThanOrEqual(9)
    if (process.env.REVOKE_DEEDS)
      console.log({ ...shown, revocations: count('revoke'), deeds: history.deeds.length })
  },
  60_000 + DEEDS * 10,
)

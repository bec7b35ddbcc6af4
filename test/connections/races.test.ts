// Attach against revoke, on a real Redis with three processes.

import { expect, it, onTestFinished } from 'vitest'
import type { AttachOptions, RevokeResult } from '../../src/index.js'
import type { NodeProcess } from '../cluster/node-process.js'
import { registryOn } from '../cluster/open-cluster.js'
import type { FakeTransport } from '../support/fake-transport.js'
import { startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { forkHolder, startHolder } from './open-holder.js'

expectNoUnhandledRejections()

// More of them: ATTACH_ROUNDS=10000 npx vitest run test/connections/races.test.ts
const ROUNDS = Number(process.env.ATTACH_ROUNDS ?? 300)
const AT_ONCE = 20

type Process = Pick<NodeProcess, 'call'>

it('leaves no connection of a revoked session open on any of three processes, and names all that were', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const registry = { ...registryOn(server), deadline: 10_000, leaseTtl: 30_000 }
  const near = await startHolder({ ...registry, nodeId: 'near' })
  const forked = await Promise.all(['one', 'two'].map(nodeId => forkHolder({ ...registry, nodeId })))
  const transports: FakeTransport[] = []
  const own: Process = {
    async call<T>(call: string, argument: unknown): Promise<T> {
      if (call === 'revoke') return near.store.by('user', argument as string).revoke() as T
      const [options] = argument as [AttachOptions]
      const { transport } = await near.attach(options)
      transports.push(transport)
      return undefined as T
    },
  }
  const processes: Process[] = [own, ...forked]
  const seen = { refused: 0, closed: 0 }

  const round = async (number: number) => {
    const sid = `s${number}`
    await near.store.set(sid, { user: sid })
    const attach = (process: Process) => process.call('attach', [{ sessionId: sid, userId: sid }])
    await Promise.all(processes.map(attach))
    const revoking = processes[number % 3] as Process
    // Some before it, some while it is under way, some perhaps after.
    const late = [...processes, ...processes].map(async process => {
      await new Promise(resolve => setTimeout(resolve, Math.random() * 6))
      await attach(process).then(
        () => seen.closed++,
        () => seen.refused++,
      )
    })
    await new Promise(resolve => setTimeout(resolve, Math.random() * 4))
    const { connections } = await revoking.call<RevokeResult>('revoke', sid)
    await Promise.all(late)
    expect(connections).toMatchObject({ nodes: { missing: [] } })
    expect(connections?.matched).toBeGreaterThanOrEqual(3)
    expect(connections?.closed).toBe(connections?.matched)
    // What is closed is taken out of the directory a moment later.
    await until(async () => (await near.cluster.connections.count({ session: sid })) === 0)
  }
  for (let first = 0; first < ROUNDS; first += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => round(first + index)))

  expect(await near.cluster.connections.list({ local: true })).toEqual([])
  expect(transports.filter(({ isOpen }) => isOpen)).toEqual([])
  for (const process of forked) {
    expect(await process.call('open')).toEqual([])
    expect((await process.call<string[]>('said')).filter(each => each.startsWith('unhandled'))).toEqual([])
  }
  // Or nothing was shown.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(ROUNDS / 20)
  await Promise.all(forked.map(process => process.kill()))
}, 600_000)

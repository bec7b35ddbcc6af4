import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/base/errors.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

type Kind = 'read' | 'save' | 'request' | 'destroy' | 'touch' | 'forget'
interface Operation {
  node: number
  sid: string
  kind: Kind
}

interface Executed {
  script: string
  sid: string
  /** What was saved, if it was. */
  saved?: string | undefined
}

const operation: fc.Arbitrary<Operation> = fc.record({
  node: fc.nat({ max: 1 }),
  sid: fc.constantFrom('s1', 's2'),
  kind: fc.constantFrom<Kind[]>('read', 'read', 'save', 'request', 'request', 'destroy', 'touch', 'forget'),
})

/** Runs operations on two nodes, every request, reply and message delivered in an order that fast-check picks. */
async function run(operations: Operation[], scheduler: fc.Scheduler) {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const nodes = [await SimulatedNode.start(redis, clock, 'a'), await SimulatedNode.start(redis, clock, 'b')]
  const executed: Executed[] = []
  const execute = redis.execute.bind(redis)
  redis.execute = (script, keys, args) => {
    const answer = execute(script, keys, args)
    const saved = script.name === 'save' && (answer as unknown[])[0] === 'saved' ? String(args[0]) : undefined
    executed.push({ script: script.name, sid: (keys[0] as string).slice('sess:'.length), saved })
    return answer
  }
  redis.step = label => scheduler.schedule(Promise.resolve(), label)
  let marks = 0
  /** For each value that a request saved, what it had read before. */
  const readBefore = new Map<string, string>()
  const perform = async ({ node: index, sid, kind }: Operation) => {
    const node = nodes[index] as SimulatedNode
    const value = { mark: ++marks }
    if (kind === 'read') await node.read(sid)
    if (kind === 'save') await node.save(sid, value)
    if (kind === 'destroy') await node.destroy(sid)
    if (kind === 'touch') await node.touch(sid)
    if (kind === 'forget') await node.parts.coordinator.publishInvalidation(sid)
    if (kind === 'request') {
      const { data, sighting } = await node.read(sid)
      readBefore.set(JSON.stringify(value), JSON.stringify(data))
      if (data) await node.save(sid, value, sighting)
    }
  }
  const performed = operations.map(async next => {
    await scheduler.schedule(Promise.resolve(), `start ${next.kind} ${next.sid} on ${next.node}`)
    await perform(next).catch(error => expect(error).toBeInstanceOf(RefusedError))
  })
  await scheduler.waitFor(Promise.all(performed))
  await scheduler.waitIdle()
  redis.step = () => Promise.resolve()
  await settled()
  return { redis, nodes, executed, readBefore }
}

describe('whatever order requests, replies and messages arrive in', () => {
  it('memory never holds what Redis does not, once everything was delivered (guards: fences on reads, writes, messages)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 2, maxLength: 10 }),
        fc.scheduler(),
        async (operations, scheduler) => {
          const { redis, nodes } = await run(operations, scheduler)
          for (const node of nodes) {
            for (const sid of ['s1', 's2']) {
              const held = node.peek(sid)?.data
              if (held !== undefined) expect(JSON.stringify(held)).toBe(redis.get(`sess:${sid}`))
            }
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  it('no save brings back a session that was destroyed after its request had read it (guards: sightings, tombstones)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 3, maxLength: 10 }),
        fc.scheduler(),
        async (operations, scheduler) => {
          const { executed, readBefore } = await run(operations, scheduler)
          executed.forEach(({ saved, sid }, position) => {
            const read = saved === undefined ? undefined : readBefore.get(saved)
            if (read === undefined) return
            const between = executed.slice(
              executed.findIndex(other => other.saved === read),
              position,
            )
            expect(between.filter(other => other.script === 'destroy' && other.sid === sid)).toEqual([])
          })
        },
      ),
      { numRuns: 400 },
    )
  })
})

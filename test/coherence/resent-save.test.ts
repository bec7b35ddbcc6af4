import { expect, it } from 'vitest'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

it('a save that is sent again is no conflict with itself (guards: what stands there is this very save)', async () => {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const node = await SimulatedNode.start(redis, clock, 'a', { conflicts: 'reject', retry: { delay: 1 } })
  await node.save('s', { v: 1 })
  const { sighting } = await node.read('s')
  const run = node.port.run.bind(node.port)
  let lost = 0
  node.port.run = async (script, keys, args) => {
    const answer = await run(script, keys, args)
    if (script.name !== 'save' || lost++ > 0) return answer
    throw new Error('Connection is closed.')
  }
  const saved = node.save('s', { v: 2 }, sighting)
  while (lost < 2) {
    clock.advance(1)
    await settled()
  }
  await saved
  expect((await node.read('s')).data).toEqual({ v: 2 })
  expect(node.stats.retries).toBe(1)
})

it('a save that was sent again is felt when what was sent first is executed late (guards: own messages of resent writes)', async () => {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const node = await SimulatedNode.start(redis, clock, 'a', { retry: { delay: 1 } })
  const run = node.port.run.bind(node.port)
  let underWay: (() => Promise<unknown>) | undefined
  node.port.run = async (script, keys, args) => {
    if (script.name !== 'save' || underWay) return run(script, keys, args)
    // The connection is lost, and what was written to it is not.
    underWay = () => run(script, keys, args)
    throw new Error('Connection is closed.')
  }
  let saved = false
  const saving = node.save('s', { v: 1 }).then(() => {
    saved = true
  })
  while (!saved) {
    clock.advance(1)
    await settled()
  }
  await saving
  const { sighting } = await node.read('s')
  await node.save('s', { v: 2 }, sighting)
  await settled()
  expect(node.peek('s')?.data).toEqual({ v: 2 })
  await underWay?.()
  await settled()
  expect(redis.get('sess:s')).toBe('{"v":1}')
  expect(node.peek('s')).toBeUndefined()
})

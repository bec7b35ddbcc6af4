import { beforeEach, describe, expect, it } from 'vitest'
import { checkStrategy, choose, type PickStrategy, Rotation } from '../../src/services/pick.js'
import { instanceOf } from '../../src/services/service-instance.js'

const at = (port: number, zone: string) => instanceOf({ name: 'users', host: 'h', port, zone }, null)
const instances = [at(1, 'z1'), at(2, 'z2'), at(3, 'z2')]

let rotation: Rotation

beforeEach(() => {
  rotation = new Rotation()
})

function pick(
  strategy: PickStrategy,
  times: number,
  { name = 'users', zone = undefined as string | undefined } = {},
) {
  return Array.from({ length: times }, () => choose(strategy, { name, zone }, instances, rotation)?.port)
}

describe('an instance', () => {
  it('is chosen in turn, for each service by itself', () => {
    expect(pick('round-robin', 4)).toEqual([1, 2, 3, 1])
    expect(pick('round-robin', 2, { name: 'orders' })).toEqual([1, 2])
    expect(pick('round-robin', 2)).toEqual([2, 3])
  })

  it('is chosen by chance, each as often as the others', () => {
    const chosen = pick('random', 3_000)
    for (const port of [1, 2, 3]) {
      const times = chosen.filter(each => each === port).length
      expect(times).toBeGreaterThan(800)
      expect(times).toBeLessThan(1_200)
    }
  })

  it('is chosen in turn of those that are near, or of all where none is', () => {
    expect(pick('zone-first', 3, { zone: 'z2' })).toEqual([2, 3, 2])
    expect(pick('zone-first', 2, { zone: 'z1' })).toEqual([1, 1])
    rotation = new Rotation()
    expect(pick('zone-first', 3, { zone: 'z9' })).toEqual([1, 2, 3])
  })

  it('is chosen by a function, which may choose none', () => {
    expect(pick(given => given.at(-1), 1)).toEqual([3])
    expect(pick(() => undefined, 1)).toEqual([undefined])
  })

  it('is chosen in no other way', () => {
    for (const strategy of ['random', () => undefined] as const)
      expect(() => checkStrategy(strategy)).not.toThrow()
    expect(() => checkStrategy('sticky' as PickStrategy)).toThrow(
      "strategy: got 'sticky', allowed is 'round-robin', 'random' or 'zone-first'",
    )
  })
})

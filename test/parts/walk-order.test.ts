import { describe, expect, it } from 'vitest'
import type { RedisPrimary } from '../../src/redis/redis-port.js'
import { readHolding, type SlotHolding } from '../../src/redis/slot-holding.js'
import { WalkOrder } from '../../src/redis/walk-order.js'

/** Of servers that know each other, unless it is said otherwise. */
function orderOf(...given: Partial<SlotHolding>[]): Promise<WalkOrder> {
  const ids = given.map((_, index) => `id-${index}`)
  return WalkOrder.of(
    given.map((said, index) => {
      const others = ids.filter((_, other) => other !== index)
      const own = { id: `id-${index}`, epoch: index + 1, importing: false, exportingTo: [], others }
      return {
        name: `server-${index}`,
        holding: async () => ({ ...own, ...said }),
      } as unknown as RedisPrimary
    }),
  )
}

describe('the order of a walk', () => {
  it('is that of the epochs', async () => {
    const { primaries, epochs, trouble } = await orderOf({ epoch: 7 }, { epoch: 3 })
    expect(primaries.map(({ name }) => name)).toEqual(['server-1', 'server-0'])
    expect(epochs).toEqual(['id-1:3', 'id-0:7'])
    expect(trouble).toBeUndefined()
  })

  it('has no trouble with what goes to the last', async () => {
    const { trouble } = await orderOf({ exportingTo: ['id-1'] }, { importing: true })
    expect(trouble).toBeUndefined()
  })

  it.each([
    ['comes to another', [{ importing: true }, {}], /is on its way/],
    ['leaves the last', [{}, { exportingTo: ['id-0'] }], /is on its way/],
    ['goes to one that nobody knows', [{ exportingTo: ['other'] }, {}], /is on its way/],
    [
      'lies on a server that the client does not know',
      [{ others: ['id-1', 'other'] }, {}],
      /not all servers/,
    ],
    ['lies on servers of which the client knows none', [], /not all servers/],
    ['may be claimed by two', [{ epoch: 2 }, { epoch: 2 }], /the same epoch/],
  ] as [string, Partial<SlotHolding>[], RegExp][])(
    'has trouble with what %s (guards: each reason not to walk)',
    async (_what, holdings, trouble) => {
      expect((await orderOf(...holdings)).trouble).toMatch(trouble)
    },
  )
})

it('is read from what Redis 7 says of itself', () => {
  const nodes = [
    '07c37df 127.0.0.1:30004@31004,host slave e7d1eec 0 1426238317239 4 connected',
    'e7d1eec 127.0.0.1:30001@31001,host myself,master - 0 0 12 connected 0-5460 5462 [5461->-07c37df] [99-<-67ed2db]',
    '67ed2db 127.0.0.1:30002@31002 master - 0 1426238316232 2 connected 5463-10922',
    '',
  ].join('\n')
  expect(readHolding(nodes)).toEqual({
    id: 'e7d1eec',
    epoch: 12,
    importing: true,
    exportingTo: ['07c37df'],
    others: ['67ed2db'],
  })
})

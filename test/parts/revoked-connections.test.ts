import { expect, it } from 'vitest'
import { RevokedConnections } from '../../src/connections/revoked-connections.js'
import type { Dispatch } from '../../src/connections/router.js'

/** What `b` answers to each batch in turn; undefined if it is silent. */
async function revoke(ids: number, answersOfB: (boolean | undefined)[]) {
  const batches: number[] = []
  const revoked = new RevokedConnections({
    directory: { named: async () => Array.from({ length: ids }, (_, nth) => `b~run~${nth}`) },
    keys: { setOf: () => 'set' },
    router: {
      others: ['b', 'c'],
      dispatch: async ({ to }: Dispatch) => {
        const { length: listed } = 'connections' in to ? to.connections : []
        const answers = answersOfB[batches.push(listed) - 1]
        return {
          own: null,
          holders: new Map([['run of b', { node: 'b', listed }]]),
          lost: 0,
          ended: 0,
          unlisted: false,
          asked: {
            answers: new Map(answers ? [['run of b', { matched: listed }]] : []),
            failures: new Map(),
            missing: answers ? [] : ['run of b'],
          },
        }
      },
    },
    isCluster: false,
    deadline: 100,
  } as unknown as ConstructorParameters<typeof RevokedConnections>[0])
  await revoked.find(['a session'])
  return { batches, receipt: await revoked.closed() }
}

it('counts as closed what a node has said in one batch, although it was silent in another, and names it as missing', async () => {
  const { batches, receipt } = await revoke(1_200, [true, undefined, true])
  expect(batches).toEqual([500, 500, 200])
  expect(receipt).toEqual({ matched: 1_200, closed: 700, nodes: { acked: [], missing: ['b'] } })
})

it('counts all of a node that has answered each time', async () => {
  const { receipt } = await revoke(600, [true, true])
  expect(receipt).toEqual({ matched: 600, closed: 600, nodes: { acked: ['b'], missing: [] } })
})

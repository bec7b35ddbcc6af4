import { expect, it } from 'vitest'
import { RevokedConnections } from '../../src/connections/revoked-connections.js'
import type { Dispatch } from '../../src/connections/router.js'

const IDS = { b: 1_200, c: 3 }

/** Of a session whose connections are on `b`, which answers, and on `c`, which does so if it is told to. */
async function revoke({ answersC = true, asked = () => {} }) {
  const dispatched: Dispatch[] = []
  const revoked = new RevokedConnections({
    directory: {
      named: async () => {
        asked()
        return Object.entries(IDS).flatMap(([node, count]) =>
          Array.from({ length: count }, (_, nth) => `${node}~run~${nth}`),
        )
      },
    },
    keys: { setOf: () => 'set' },
    router: {
      others: ['b', 'c', 'd'],
      dispatch: async (dispatch: Dispatch) => {
        dispatched.push(dispatch)
        const answers = Object.entries(IDS).slice(0, answersC ? 2 : 1)
        return {
          own: null,
          holders: new Map(Object.entries(IDS).map(([node, listed]) => [node, { node, listed }])),
          lost: 0,
          ended: 0,
          unlisted: false,
          asked: {
            answers: new Map(answers.map(([node, matched]) => [node, { matched }])),
            failures: new Map(),
            missing: answersC ? [] : ['c'],
          },
        }
      },
    },
    isCluster: false,
    deadline: 100,
  } as unknown as ConstructorParameters<typeof RevokedConnections>[0])
  await revoked.find(['a session'])
  const receipt = await revoked.closed()
  expect(dispatched.map(({ to }) => 'connections' in to && to.connections.length)).toEqual([1_203])
  return receipt
}

it('counts what those nodes had that have answered, and names the others', async () => {
  expect(await revoke({})).toEqual({
    matched: 1_203,
    closed: 1_203,
    nodes: { acked: ['b', 'c'], missing: [] },
  })
  expect(await revoke({ answersC: false })).toEqual({
    matched: 1_203,
    closed: 1_200,
    nodes: { acked: ['b'], missing: ['c'] },
  })
})

it('names all as missing, and none as heard, where Redis could once not say who holds some', async () => {
  let times = 0
  const asked = () => {
    if (++times === 1) throw new Error('away')
  }
  const { nodes } = await revoke({ asked })
  expect(nodes).toEqual({ acked: [], missing: ['b', 'c', 'd'] })
})

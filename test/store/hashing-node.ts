import { onTestFinished } from 'vitest'
import { ClusteredRedisStore, type IdHashing, type StoreOptions } from '../../src/index.js'
import { until } from '../support/until.js'
import type { Data } from './open-store.js'

/** A node of any phase of the roll-out. */
export type HashingNode = ClusteredRedisStore<Data, never, IdHashing>

/** Two nodes that may run side by side, each pair both ways round: on the way there and on the way back. */
export const NEIGHBOURS: [one: IdHashing, other: IdHashing][] = [
  [false, 'adopt'],
  ['adopt', false],
  ['adopt', true],
  [true, 'adopt'],
]

let opened = 0

/** Until the end of the test; it answers from memory. */
export async function startNode(
  hashIds: IdHashing,
  options: Omit<StoreOptions<Data>, 'hashIds'>,
): Promise<HashingNode> {
  const store: HashingNode = new ClusteredRedisStore<Data, never, IdHashing>({
    cluster: { nodeId: `${hashIds}-${++opened}`, maxStaleness: 5_000, probeEvery: 25 },
    ...options,
    hashIds,
  })
  onTestFinished(() => store.shutdown())
  await store.ready()
  return store
}

/** Brings a session into the memory of a node. */
export async function hold(node: HashingNode, id: string): Promise<Data> {
  return until(
    async () => {
      const found = await node.get(id)
      return found && node.originOf(found) === 'memory' ? found : undefined
    },
    { message: 'the node to answer from memory' },
  )
}

/** The name under which a node of this phase writes. */
export function writtenName(node: HashingNode, hashIds: IdHashing, id: string): string {
  return hashIds === true ? String(node.handleOf(id)) : id
}

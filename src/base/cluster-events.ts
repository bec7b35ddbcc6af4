import type { Owner } from './cluster-errors.js'
import type { JsonObject } from './json.js'

/** One run of a node. */
export interface NodeRef {
  readonly id: string
  /** A UUID of this run: another process under the same id has another. */
  readonly boot: string
  readonly endpoint: string | null
  readonly meta: JsonObject
}

/** Every event of a SessionCluster, and what its listeners get. */
export interface ClusterEvents {
  /** A node has joined; this one, too. */
  'node:up': [node: NodeRef]
  /** A node has left, or its lease has ended. */
  'node:down': [node: NodeRef]
  /** This process is a node of the cluster (again). */
  active: [detail: { nodeId: string }]
  /** The lease of this node could not be renewed; it is tried again. */
  suspect: [detail: { nodeId: string; reason: string }]
  /** The lease of this node is over, and with it all that it held. `owner`: who has its id now. It joins again by itself. */
  fenced: [detail: { nodeId: string; reason: string; owner: Owner | null }]
}

export type EmitClusterEvent = <Name extends keyof ClusterEvents>(
  name: Name,
  ...detail: ClusterEvents[Name]
) => void

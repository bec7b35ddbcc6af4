import { StoreError } from './errors.js'

/** Which process holds what was asked for. */
export interface Owner {
  /** The id of its node. */
  readonly node: string
  /** Tells this run of the node from others under the same id. */
  readonly boot: string
  readonly endpoint: string | null
}

/** Another process lives under this node id. */
export class NodeIdConflictError extends StoreError {
  readonly owner: Owner

  constructor(owner: Owner) {
    super(
      'ERR_NODE_ID',
      `The node id '${owner.node}' is in use${at(owner)}; give every process an id of its own`,
    )
    this.owner = owner
  }
}

/** This process is no node of the cluster: it was not started, or its lease has ended. Nothing was changed. */
export class FencedError extends StoreError {
  constructor(nodeId: string, reason: string) {
    super('ERR_FENCED', `The node '${nodeId}' may not do this: ${reason}`)
  }
}

/** Another node holds the name. */
export class ClaimTakenError extends StoreError {
  readonly owner: Owner

  constructor(name: string, owner: Owner) {
    super('ERR_CLAIM_TAKEN', `'${name}' is held by the node '${owner.node}'${at(owner)}`)
    this.owner = owner
  }
}

/** Why the `signal` of a claim was aborted: this node may not act under the name any more. */
export class ClaimLostError extends StoreError {
  constructor(name: string, reason: string) {
    super('ERR_CLAIM_LOST', `The claim of '${name}' is over: ${reason}`)
  }
}

/** A newer claim of the name was given since this token was. */
export class StaleTokenError extends StoreError {
  readonly token: number
  readonly newest: number

  constructor(name: string, token: number, newest: number) {
    super('ERR_STALE_TOKEN', `The token ${token} of '${name}' is out of date: ${newest} was given since`)
    this.token = token
    this.newest = newest
  }
}

/** A live node has registered the handle. */
export class HandleTakenError extends StoreError {
  readonly handle: string
  readonly owner: Owner

  constructor(handle: string, owner: Owner) {
    super('ERR_HANDLE_TAKEN', `The handle '${handle}' belongs to the node '${owner.node}'${at(owner)}`)
    this.handle = handle
    this.owner = owner
  }
}

/** No instance of the service is there to be asked. */
export class NoInstanceError extends StoreError {
  constructor(name: string, details: { tried: number; cause?: unknown }) {
    const why = details.tried === 0 ? 'none is UP' : `none of ${details.tried} could be reached`
    super('ERR_NO_INSTANCE', `No instance of the service '${name}': ${why}`, details)
  }
}

function at({ endpoint }: Owner): string {
  return endpoint === null ? '' : ` at ${endpoint}`
}

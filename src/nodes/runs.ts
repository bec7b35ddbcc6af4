import type { NodeRef } from '../base/cluster-events.js'
import { runOf } from './boot.js'
import type { Registry } from './registry.js'
import { nodeOf } from './registry-entry.js'

/** The processes that are nodes now, as far as this one knows, by their runs. */
export class Runs {
  readonly #registry: Registry
  readonly #watchers = new Set<(run: string) => void>()
  #nodes: Map<string, NodeRef> | undefined

  constructor(registry: Registry) {
    this.#registry = registry
    registry.listen(changes => {
      this.#nodes = undefined
      for (const { before } of changes) {
        const run = before && runOf(before.boot)
        if (run === undefined || this.has(run)) continue
        for (const watcher of [...this.#watchers]) watcher(run)
      }
    })
  }

  has(run: string): boolean {
    return this.#all.has(run)
  }

  all(): string[] {
    return [...this.#all.keys()]
  }

  nodeOf(run: string): NodeRef | undefined {
    return this.#all.get(run)
  }

  of(nodeId: string): string | undefined {
    for (const [run, { id }] of this.#all) if (id === nodeId) return run
    return undefined
  }

  /** Tells of each that is not a node any more, until the answer is called. It may come back. */
  onGone(watcher: (run: string) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  get #all(): Map<string, NodeRef> {
    if (this.#nodes) return this.#nodes
    this.#nodes = new Map()
    for (const entry of this.#registry.known) {
      const node = nodeOf(entry)
      if (node) this.#nodes.set(runOf(node.boot), node)
    }
    return this.#nodes
  }
}

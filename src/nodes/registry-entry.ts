import { isObject } from '../base/checks.js'
import type { NodeRef } from '../base/cluster-events.js'
import { restOf } from './stored-format.js'

/** What one lease stands for: a node, what is served there, or both. */
export interface RegistryEntry {
  readonly boot: string
  readonly node: Omit<NodeRef, 'boot'> | null
  readonly services: readonly unknown[]
}

/** What stands in Redis, or came in a message. Undefined if it is none of ours, or of a version that this code does not know. */
export function entryFrom(value: unknown): RegistryEntry | undefined {
  if (!isObject(value)) return undefined
  const { boot, node, services } = value as Partial<Record<keyof RegistryEntry, unknown>>
  if (typeof boot !== 'string' || !Array.isArray(services)) return undefined
  if (node !== null && !isNode(node)) return undefined
  return value as RegistryEntry
}

/** The same as it stands in Redis. */
export function entryFromText(text: string): RegistryEntry | undefined {
  const json = restOf(text)
  if (json === undefined) return undefined
  try {
    return entryFrom(JSON.parse(json))
  } catch {
    return undefined
  }
}

export function nodeOf({ boot, node }: RegistryEntry): NodeRef | undefined {
  return node ? { ...node, boot } : undefined
}

function isNode(value: unknown): boolean {
  if (!isObject(value)) return false
  const { id, endpoint, meta } = value as Partial<Record<keyof NodeRef, unknown>>
  return typeof id === 'string' && (endpoint === null || typeof endpoint === 'string') && isObject(meta)
}

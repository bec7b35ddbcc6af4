import { invalid, isObject, metaOf, nameOf, oneOf, orElse, whole } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'

export const STATUSES = ['UP', 'DOWN', 'STARTING', 'OUT_OF_SERVICE'] as const
export type ServiceStatus = (typeof STATUSES)[number]

const SCHEME = /^[a-z][a-z\d+.-]*$/i
/** What would end a host, in a URL, or stand before it. */
const BEYOND_HOST = /[\s@/\\?#]/
/** They go along with every heartbeat. */
const MOST_TAGS = 64

/** What is registered. */
export interface ServiceDescription {
  /** What the service is called; its instances share the name. */
  name: string
  /** Without scheme and port: `10.0.0.5`, `users.internal`. */
  host: string
  port: number
  /** @default 'http' */
  protocol?: string | undefined
  /** Where it runs, for `zone-first` and for filters. @default none */
  zone?: string | undefined
  /** @default [] */
  tags?: readonly string[] | undefined
  /** What JSON can hold, up to 8 KiB. @default {} */
  meta?: object | undefined
  /** @default 'UP' */
  status?: ServiceStatus | undefined
}

/** One process that serves. */
export interface ServiceInstance {
  /** `<name>:<host>:<port>`: the same after a restart. */
  readonly id: string
  readonly name: string
  readonly host: string
  readonly port: number
  readonly protocol: string
  readonly zone: string | null
  readonly tags: readonly string[]
  readonly meta: JsonObject
  readonly status: ServiceStatus
  /** `<protocol>://<host>:<port>` */
  readonly url: string
  /** The node that it vanishes with; null if it stands by itself. */
  readonly node: string | null
}

/** What an instance has to have to be found. */
export interface ServiceFilter {
  zone?: string | undefined
  /** All of these. */
  tags?: readonly string[] | undefined
  status?: ServiceStatus | undefined
  /** All of these, with these values. */
  meta?: object | undefined
}

export function instanceOf(description: ServiceDescription, node: string | null): ServiceInstance {
  const { zone, tags } = description
  const name = nameOf('name', description.name)
  const protocol = nameOf('protocol', orElse(description.protocol, 'http'))
  const host = nameOf('host', description.host)
  const port = whole('port', description.port, 65_535)
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const url = `${protocol}://${address}`
  if (!SCHEME.test(protocol) || BEYOND_HOST.test(host) || !URL.canParse(url)) {
    throw new OptionError(
      `host, protocol: got '${host}' and '${protocol}', allowed are a host without scheme and port, and a scheme such as 'http'`,
    )
  }
  return {
    id: `${name}:${address}`,
    name,
    host,
    port,
    protocol,
    zone: zone === undefined ? null : nameOf('zone', zone),
    tags: tagsOf(tags),
    meta: metaOf('meta', description.meta),
    status: oneOf('status', orElse(description.status, 'UP'), STATUSES),
    url,
    node,
  }
}

/** What stands in the registry; undefined if it is of a version that this code does not know. */
export function instanceFrom(value: unknown): ServiceInstance | undefined {
  if (!isObject(value)) return undefined
  const { id, name, url, status, tags, meta } = value as Partial<ServiceInstance>
  const known = [id, name, url].every(each => typeof each === 'string')
  return known && STATUSES.includes(status as 'UP') && Array.isArray(tags) && isObject(meta)
    ? (value as ServiceInstance)
    : undefined
}

/** Refuses what would find nothing, or anything. */
export function checkFilter({ zone, tags, status, meta }: ServiceFilter): void {
  if (zone !== undefined) nameOf('zone', zone)
  if (status !== undefined) oneOf('status', status, STATUSES)
  tagsOf(tags)
  metaOf('meta', meta)
}

export function matches(
  instance: ServiceInstance,
  { zone, tags = [], status, meta = {} }: ServiceFilter,
): boolean {
  return (
    (zone === undefined || instance.zone === zone) &&
    (status === undefined || instance.status === status) &&
    tags.every(tag => instance.tags.includes(tag)) &&
    Object.entries(meta).every(([key, value]) => JSON.stringify(instance.meta[key]) === JSON.stringify(value))
  )
}

function tagsOf(tags: readonly string[] | undefined): string[] {
  const given: unknown = orElse(tags, [])
  if (!Array.isArray(given)) throw invalid('tags', given, 'a list of names')
  if (given.length > MOST_TAGS) throw new OptionError(`tags: got ${given.length}, allowed are ${MOST_TAGS}`)
  return given.map(tag => nameOf('tags', tag))
}

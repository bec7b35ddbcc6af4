import { isObject } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import { sharedBus } from '../bus/shared-bus.js'

export const NAMES = {
  '': [
    'redis',
    'prefix',
    'ttl',
    'touchEvery',
    'tombstoneTtl',
    'cache',
    'cluster',
    'deadline',
    'retry',
    'breaker',
    'staleIfError',
    'onSaveError',
    'waitForReplicas',
    'compression',
    'maxSessionBytes',
    'encryption',
    'hashIds',
    'serializer',
    'indexes',
    'absoluteTtl',
    'maxSessions',
    'conflicts',
    'logger',
    'clock',
  ],
  cache: ['maxEntries', 'ttl'],
  cluster: ['nodeId', 'channel', 'maxStaleness', 'probeEvery'],
  retry: ['attempts', 'delay'],
  breaker: ['failures', 'openFor'],
  waitForReplicas: ['count', 'timeout'],
  compression: ['threshold', 'algorithm'],
  encryption: ['keys', 'write', 'acceptPlaintext'],
  maxSessions: ['by', 'max', 'onLimit'],
}
/** Of an option that holds others. */
export type GroupName = Exclude<keyof typeof NAMES, ''>

const NAMES_OF_A_KEY = ['id', 'secret']
const NAMES_OF_A_CLUSTER = [
  'redis',
  'nodeId',
  'endpoint',
  'meta',
  'leaseTtl',
  'heartbeat',
  'cacheTtl',
  'keyPrefix',
  'onNodeIdConflict',
  'maxStaleness',
  'probeEvery',
  'maxStaleAuth',
  'deadline',
  'logger',
  'clock',
]

/** What other stores call it, written without case and separators, and what it is here. */
const ELSEWHERE = new Map(
  Object.entries({
    client: 'redis',
    connectionstring: 'redis',
    redisconnection: 'redis',
    redisurl: 'redis',
    url: 'redis',
    keyprefix: 'prefix',
    timeout: 'ttl (in milliseconds)',
    maxage: 'ttl (in milliseconds)',
    disabletouch: 'touchEvery (in milliseconds; touches are few anyway)',
    nodeid: 'cluster.nodeId',
    channel: 'cluster.channel',
    enableretry: 'retry (on by default)',
    circuitbreakerenabled: 'breaker (on by default)',
    secret: 'encryption: { keys: [{ id, secret }] }',
    encryptionkey: 'encryption: { keys: [{ id, secret }] }',
    compressdata: 'compression',
    compressionthreshold: 'compression.threshold',
    encryptredisdata: 'encryption',
    localcacheenabled: 'cache (false switches it off)',
    localcachettl: 'cache.ttl',
    localcachemaxsize: 'cache.maxEntries',
    maxsize: 'cache.maxEntries',
    max: 'cache.maxEntries',
    enabled: 'cluster: false or cache: false to switch it off',
  }),
)

/** The same for a SessionCluster. */
const CLUSTER_ELSEWHERE = new Map(
  Object.entries({
    client: 'redis',
    connectionstring: 'redis',
    url: 'redis',
    localendpoint: 'endpoint',
    registrationttl: 'leaseTtl (in milliseconds)',
    ttl: 'leaseTtl (in milliseconds)',
    heartbeatinterval: 'heartbeat (in milliseconds)',
    prefix: 'keyPrefix',
    database: 'redis: new Redis({ db })',
  }),
)

/** What belongs to the client. */
const OF_THE_CLIENT = ['host', 'port', 'db', 'password', 'username', 'sentinels', 'name', 'tls']
/** What other stores have and this one has not. */
const NOWHERE = ['disablettl', 'scancount']

/** Refuses unknown options: one that is silently ignored is a setting somebody relies on. */
export function checkNames(options: object): void {
  for (const [group, known] of Object.entries(NAMES)) {
    const value = group === '' ? options : (options as Record<string, unknown>)[group]
    // A SessionCluster has checked its own.
    if (isObject(value) && !(sharedBus in value)) check(group, value, known)
  }
}

/** The same for one of the keys of `encryption`, of which there may be many. */
export function checkNamesOfKey(place: string, key: object): void {
  check(place, key, NAMES_OF_A_KEY)
}

/** The same for the options of a SessionCluster. */
export function checkClusterNames(options: object): void {
  check('', options, NAMES_OF_A_CLUSTER, CLUSTER_ELSEWHERE)
}

function check(group: string, options: object, known: readonly string[], elsewhere = ELSEWHERE): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const place = group === '' ? name : `${group}.${name}`
    const plain = name.toLowerCase()
    if (group === '' && OF_THE_CLIENT.includes(plain)) {
      throw new OptionError(
        `${place}: give it to the client, and pass that: { redis: new Redis({ ${name} }) }`,
      )
    }
    if (group === '' && NOWHERE.includes(plain))
      throw new OptionError(`${place}: this store has nothing like it`)
    const suggestion = suggest(name, group, known, elsewhere)
    throw new OptionError(
      suggestion
        ? `${place}: there is no such option; did you mean ${suggestion}?`
        : `${place}: there is no such option; there are ${known.join(', ')}`,
    )
  }
}

function suggest(
  name: string,
  group: string,
  known: readonly string[],
  names: ReadonlyMap<string, string>,
): string | undefined {
  const plain = name.toLowerCase().replace(/[^a-z]/g, '')
  const elsewhere = names.get(plain)
  const same = known.find(other => other.toLowerCase() === plain)
  const near = known.find(other => distance(other.toLowerCase(), plain) <= 2)
  const here = same ?? (elsewhere ? undefined : near)
  if (here) return group === '' ? here : `${group}.${here}`
  // What is an option of the whole store is no help within a group.
  return group === '' || elsewhere?.startsWith(group) ? elsewhere : undefined
}

/** How many letters have to be changed, added or left out. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = (row[j - 1] as number) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[other.length] as number
}

import { hash } from 'node:crypto'
import calculateSlot from 'cluster-key-slot'
import type { Argument, StoredValue } from '../../src/redis/redis-port.js'
import type { SimulatedIndexes } from './simulated-indexes.js'

/** What the scripts need of a server. */
export interface ScriptedServer {
  readonly indexes: SimulatedIndexes
  /** The time of its clock, in ms since the epoch. */
  now(): number
  get(key: string): string | undefined
  /** -2 if there is no such key. */
  pttl(key: string): number
  set(key: string, value: string, px: number): void
  delete(key: string): boolean
  /** Those that begin as the pattern does, which has its only star at its end. */
  keys(pattern: string): string[]
  publish(channel: string, text: string): void
  /** run_id, master_replid, the epoch of the cluster and its size. */
  identity(): string[]
}

/** What the scripts do, told in JavaScript: as src/redis/ has them in Lua, step by step. */
export function executeScript(
  server: ScriptedServer,
  name: string,
  keys: readonly string[],
  args: readonly Argument[],
): unknown {
  const arg = args.map(String)
  const now = server.now()
  /** Session key and tombstone key of every name; what stands under the first counts. */
  const pairsOf = (keys: readonly string[]) =>
    keys.flatMap((key, index) => (index % 2 === 0 ? [[key, keys[index + 1] ?? '']] : []))
  switch (name) {
    case 'enter':
      return server.indexes.enter(keys, arg[0] ? Number(arg[0]) : Number.POSITIVE_INFINITY, arg.slice(1))
    case 'entries':
      return [now, '0', ...named(server, keys[0] as string, arg)]
    case 'prune':
      return server.indexes.prune(keys[0] as string, arg)
    case 'probe':
      server.publish(arg[0] as string, arg[1] as string)
      return server.identity()
    case 'load': {
      let first = 0
      const sessions = arg.map(count => {
        const pairs = pairsOf(keys.slice(first, first + Number(count)))
        first += Number(count)
        const at = pairs.find(([session]) => server.get(session as string) !== undefined)?.[0] ?? ''
        return [server.get(at) ?? null, server.pttl(at), tombstonesOf(server, pairs), 0]
      })
      return [now, ...sessions.flat()]
    }
    case 'save': {
      const [value = '', px, channel = '', message = '', seen, existedAt, tombstoneTtl, keepEnd] = arg
      const [written, onlyIfThere, expected, names] = arg.slice(8)
      const pairs = pairsOf(keys.slice(0, Number(names)))
      if (channel) server.publish(channel, message)
      const tombstones = tombstonesOf(server, pairs)
      const unseen = tombstones.split(' ').some(tombstone => !seen?.includes(tombstone))
      if (unseen) return ['destroyed', tombstones, now, 0, 0]
      const left = Math.max(...pairs.map(([session]) => server.pttl(session as string)))
      const forgotten = existedAt !== '' && now - Number(existedAt) >= Number(tombstoneTtl)
      if (onlyIfThere === '1' && left === -2) return ['elsewhere', tombstones, now, 0, 0]
      if (forgotten && left === -2) return ['gone', tombstones, now, 0, 0]
      const there = pairs.map(([session = '']) => server.get(session)).find(value => value !== undefined)
      if (there !== undefined && expected && hash('sha1', there) !== expected) {
        return ['changed', tombstones, now, 0, 1]
      }
      const life = keepEnd === '1' && left > 0 ? Math.min(left, Number(arg[12]) || left) : Number(px)
      const full = server.indexes.enter(
        keys.slice(Number(names)),
        life,
        arg.slice(14),
        there !== undefined && (!arg[13] || hash('sha1', there) === arg[13]),
      )
      if (full.length > 0) return ['full', tombstones, now, 0, left === -2 ? 0 : 1, full]
      for (const [session = '', key = ''] of pairs) {
        const tombstone = server.get(key)
        if (tombstone && server.pttl(key) < life) server.set(key, tombstone, life)
        server.delete(session)
      }
      server.set(keys[Number(written) - 1] as string, value, life)
      return ['saved', tombstones, now, life, left === -2 ? 0 : 1]
    }
    case 'touch': {
      const [px, channel = '', message = '', written, , , expected, names] = arg
      const pairs = pairsOf(keys.slice(0, Number(names)))
      const at = pairs.map(([session = '']) => session).find(key => server.get(key) !== undefined)
      if (at === undefined) return 0
      if (expected && hash('sha1', server.get(at) as string) !== expected) return 3
      server.indexes.enter(keys.slice(Number(names)), Number(px), arg.slice(8))
      const shorter = server.pttl(at) > Number(px)
      if (shorter && channel) server.publish(channel, message)
      const target = keys[Number(written) - 1] as string
      const value = server.get(at) as string
      // It stays where it is, unless it has to be moved.
      for (const [session = ''] of at === target ? [] : pairs) server.delete(session)
      server.set(target, value, Number(px))
      for (const [, key = ''] of pairs) {
        const tombstone = server.get(key)
        if (tombstone && server.pttl(key) < Number(px)) server.set(key, tombstone, Number(px))
      }
      return shorter ? 2 : 1
    }
    case 'destroy': {
      const [channel = '', message = '', id = '', tombstoneTtl, back] = arg
      if (channel) server.publish(channel, message)
      const pairs = pairsOf(keys)
      let written = `1:${now}:${id}`
      let found = ''
      const missing: string[] = []
      for (const [session = '', key = ''] of pairs) {
        const before = server.get(key)
        const again = before?.endsWith(id) === true
        if (again) written = before
        else missing.push(key)
        found += (again && back !== '1') || server.delete(session) ? '1' : '0'
      }
      for (const key of missing) server.set(key, written, Number(tombstoneTtl))
      return [written, '', found]
    }
    default:
      throw new Error(`The simulation has no script ${name}`)
  }
}

/** What stands under the members of an index. */
function named(server: ScriptedServer, index: string, [, , session, before, after]: string[]): unknown[] {
  const entries = server.indexes.entries(index)
  const members = entries.map(([member]) => member)
  const found = [members, entries.map(([, score]) => score).join(' ')]
  if (session === undefined) return found
  const keys = members.map(member => session + member)
  const tombstones = members.map(member => server.get(`${before}${member}${after}`) ?? '-')
  const values = keys.map(key => server.get(key) ?? null)
  return [...found, values, keys.map(key => server.pttl(key)).join(' '), tombstones.join(' ')]
}

function tombstonesOf(server: ScriptedServer, pairs: string[][]): string {
  return pairs.flatMap(([, key = '']) => server.get(key) ?? []).join(' ')
}

/** What a walk over all keys asks for. */
export const walkCommands = {
  /** One key in each step, at a place that depends on no other key: what is there all the while is seen. */
  scan(server: ScriptedServer, cursor: string, pattern: string): { cursor: string; keys: string[] } {
    const left = server
      .keys(pattern)
      .map(key => ({ key, place: calculateSlot(key) + 1 }))
      .filter(({ place }) => place > Number(cursor))
    const place = Math.min(...left.map(each => each.place))
    const here = left.filter(each => each.place === place)
    return { cursor: here.length < left.length ? String(place) : '0', keys: here.map(({ key }) => key) }
  },

  scanLives(server: ScriptedServer, cursor: string, pattern: string) {
    const step = walkCommands.scan(server, cursor, pattern)
    return { ...step, lives: step.keys.map(key => server.pttl(key)) }
  },

  read: (server: ScriptedServer, keys: readonly string[]): StoredValue[] =>
    keys.map(key => {
      const value = server.get(key)
      return value === undefined ? 'nothing' : Buffer.from(value)
    }),
}

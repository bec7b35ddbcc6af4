import type { Clock } from '../../src/base/clock.js'
import type { Script } from '../../src/redis/script.js'
import type { SimulatedRedis } from './simulated-redis.js'

/** The hashes and sets of a simulated Redis, and what the scripts of live connections do to them. */
export class SimulatedConnections {
  readonly #hashes = new Map<string, Map<string, string>>()
  readonly #sets = new Map<string, Set<string>>()
  readonly #redis: SimulatedRedis
  readonly #clock: Clock

  /** From now on the server knows these scripts, too. */
  constructor(redis: SimulatedRedis, clock: Clock) {
    this.#redis = redis
    this.#clock = clock
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      const answer = this.#execute(script, keys, args.map(String))
      return answer === undefined ? execute(script, keys, args) : answer
    }
  }

  hash(key: string): ReadonlyMap<string, string> {
    return this.#hashOf(key)
  }

  /** What every set holds that holds anything. */
  get sets(): [key: string, members: string[]][] {
    return [...this.#sets]
      .filter(([, { size }]) => size > 0)
      .map(([key, members]): [string, string[]] => [key, [...members].sort()])
      .sort()
  }

  #execute({ name }: Pick<Script, 'name'>, keys: readonly string[], args: string[]): unknown {
    const [rows = '', activity = ''] = keys
    const now = this.#clock.wall()
    const get = (key: string, field: string) => this.#hashOf(key).get(field) ?? null
    switch (name) {
      case 'publish':
        this.#redis.publish(args[0] as string, args[1] as string)
        return null
      case 'write a connection': {
        if (args[0]) this.#redis.publish(args[0], args[1] as string)
        for (const [index, key] of keys.entries()) {
          const [command, first = '', second = ''] = args.slice(2 + 3 * index)
          if (command === 'HSET') this.#hashOf(key).set(first, second)
          if (command === 'HDEL') this.#hashOf(key).delete(first)
          if (command === 'ZADD') this.#setOf(key).add(second)
          if (command === 'ZREM') this.#setOf(key).delete(first)
        }
        return null
      }
      case 'read connections':
        return [now, ...args.flatMap(number => [get(rows, number), get(activity, number)])]
      case 'scan connections': {
        const found = [...this.#hashOf(rows)].flatMap(([number, row]) => [number, row, get(activity, number)])
        return [now, '0', ...found]
      }
      case 'read who is named':
        return [...this.#setOf(rows)]
      case 'count connections':
        return this.#hashOf(rows).size
      case 'write activity':
        return null
      default:
        return undefined
    }
  }

  #hashOf(key: string): Map<string, string> {
    return entryOf(this.#hashes, key, () => new Map())
  }

  #setOf(key: string): Set<string> {
    return entryOf(this.#sets, key, () => new Set())
  }
}

function entryOf<T>(entries: Map<string, T>, key: string, make: () => T): T {
  const known = entries.get(key)
  if (known !== undefined) return known
  const made = make()
  entries.set(key, made)
  return made
}

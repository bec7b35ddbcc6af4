import type { Clock } from '../../src/base/clock.js'

/** The sorted sets of a simulated Redis, and what the scripts of the indexes do to them. */
export class SimulatedIndexes {
  readonly #sets = new Map<string, Map<string, number>>()
  readonly #clock: Clock
  #entered = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  copyOf(key: string): ReadonlyMap<string, number> {
    return new Map(this.#sets.get(key))
  }

  keys(): string[] {
    return [...this.#sets.keys()].filter(key => this.#sets.get(key)?.size)
  }

  put(key: string, set: ReadonlyMap<string, number>): void {
    this.#sets.set(key, new Map(set))
  }

  clear(): void {
    this.#sets.clear()
  }

  entries(key: string): [member: string, score: string][] {
    return [...(this.#sets.get(key) ?? [])].map(([member, score]) => [member, String(score)])
  }

  enter(keys: readonly string[], px: number, args: readonly string[], there = true): unknown[] {
    const [member = '', former = '', pending, grace = '0'] = args
    const now = this.#clock.wall()
    let from = 4
    for (const [index, key] of keys.entries()) {
      const set = this.#sets.get(key) ?? new Map<string, number>()
      const [limit, kept, count] = [args[from], args[from + 1] === '1', Number(args[from + 2])]
      let others = set.size - (set.has(member) ? 1 : 0)
      for (let pair = 0; pair < count; pair++) {
        const [known = '', score] = args.slice(from + 3 + 2 * pair, from + 5 + 2 * pair)
        if (String(set.get(known)) === score) others--
      }
      if (limit && !(there && kept) && others >= Number(limit)) return [index, this.entries(key).flat(), now]
      from += 3 + 2 * count
    }
    for (const key of keys) {
      const set = this.#sets.get(key) ?? new Map<string, number>()
      this.#sets.set(key, set)
      const before = set.get(member) ?? Number.NEGATIVE_INFINITY
      set.set(
        member,
        pending === '1' ? -now : Math.max(now + px + (++this.#entered % 1000) / 1000, before + 1),
      )
      if (former) set.delete(former)
      for (const [each, score] of set) if (score >= 0 && score <= now - Number(grace)) set.delete(each)
    }
    return []
  }

  prune(key: string, [grace = '0', ...pairs]: readonly string[]): null {
    const set = this.#sets.get(key) ?? new Map<string, number>()
    const now = this.#clock.wall()
    for (let i = 0; i < pairs.length; i += 2) {
      const [member = '', score = ''] = [pairs[i], pairs[i + 1]]
      if (String(set.get(member)) !== score) continue
      if (grace === '0' || Math.abs(Number(score)) + Number(grace) < now) set.delete(member)
      else if (Number(score) >= 0) set.set(member, -now - 0.5)
    }
    return null
  }
}

import type { Mutation } from './mutations-of.js'

/** Why it is no gap in the tests that nothing notices some changes of one place. */
export interface Explanation {
  readonly file: string
  readonly member: string
  readonly why: string
  readonly changes: readonly (readonly [before: string, after: string])[]
}

const stale = 'this.#stale = staleIfError > 0 ? new StaleCopies(maxEntries, staleIfError) : undefined'

export const explanations: readonly Explanation[] = [
  {
    file: 'src/cache/local-cache.ts',
    member: 'constructor',
    why: 'memory only: copies that may be served for no time are kept, and never served.',
    changes: [
      [stale, 'this.#stale = true ? new StaleCopies(maxEntries, staleIfError) : undefined'],
      [stale, 'this.#stale = staleIfError >= 0 ? new StaleCopies(maxEntries, staleIfError) : undefined'],
    ],
  },
  {
    file: 'src/cache/snapshot.ts',
    member: 'copyNested',
    why: 'equivalent: behind the last element of an array there is none, and what is undefined is not copied.',
    changes: [
      [
        'for (let index = 0; index < copy.length; index++) {',
        'for (let index = 0; index <= copy.length; index++) {',
      ],
    ],
  },
  {
    file: 'src/cache/snapshot.ts',
    member: 'DEEP',
    why: 'speed only: where the recursion ends, and the loop begins, which copies alike.',
    changes: [
      ['const DEEP = 32', 'const DEEP = 0'],
      ['const DEEP = 32', 'const DEEP = 64'],
    ],
  },
  {
    file: 'src/cache/snapshot.ts',
    member: 'copyOf',
    why: 'the same.',
    changes: [['return copyNested(shallowCopyOf(object), 0)', 'return copyNested(shallowCopyOf(object), 1)']],
  },
  {
    file: 'src/cache/snapshot.ts',
    member: 'copyNested',
    why: 'the same; and a list is copied by its keys as well, only more slowly.',
    changes: [
      ['if (depth === DEEP) return copyNestedDeeper(copy)', 'if (true) return copyNestedDeeper(copy)'],
      [
        'if (depth === DEEP) return copyNestedDeeper(copy)',
        'if (depth !== DEEP) return copyNestedDeeper(copy)',
      ],
      ['if (Array.isArray(copy)) {', 'if (false) {'],
      [
        '(copy as JsonObject)[key] = copyNested(shallow(value), depth + 1)',
        '(copy as JsonObject)[key] = copyNested(shallow(value), depth + 2)',
      ],
    ],
  },
  {
    file: 'src/cache/snapshot.ts',
    member: 'shallowCopyOf',
    why: 'speed only, of what is done with the copy.',
    changes: [
      [
        "return Object.hasOwn(object, '__proto__') ? { ...object } : Object.assign({}, object)",
        'return true ? { ...object } : Object.assign({}, object)',
      ],
    ],
  },
  {
    file: 'src/cache/stale-copies.ts',
    member: 'get',
    why: 'memory only: what is too old stays until others need its place, and is not served, since it grows no younger.',
    changes: [['this.#entries.delete(name)', '']],
  },
  {
    file: 'src/bus/echo-lease.ts',
    member: 'PROBES_KEPT',
    why: 'any number will do that is above what may be under way while Redis answers, and bounded.',
    changes: [['const PROBES_KEPT = 64', 'const PROBES_KEPT = 128']],
  },
  {
    file: 'src/bus/echo-lease.ts',
    member: 'sent',
    why: 'one probe less is kept, of 64.',
    changes: [
      [
        'if (this.#probes.length > PROBES_KEPT) this.#probes.shift()',
        'if (this.#probes.length >= PROBES_KEPT) this.#probes.shift()',
      ],
    ],
  },
  {
    file: 'src/bus/line.ts',
    member: '#open',
    why: 'a second line of defence: whatever ends a subscription has emptied its lease already, and no probe is sent in between.',
    changes: [['this.#lease.reset()', '']],
  },
  {
    file: 'src/bus/line.ts',
    member: '#identify',
    why: 'equivalent: an empty reason is none.',
    changes: [['return undefined', "return ''"]],
  },
  {
    file: 'src/bus/line.ts',
    member: '#echo',
    why: 'a second line of defence: without a subscription there are no probes, so the nonce is unknown, and nothing comes of it.',
    changes: [['if (!this.#subscription) return', 'if (false) return']],
  },
  {
    file: 'src/sessions/sighting.ts',
    member: 'sightingOfNew',
    why: 'equivalent: when it was seen is asked only of a session that was there.',
    changes: [['seenAt: 0,', 'seenAt: 1,']],
  },
]

/** Each of them by itself. */
export const survivors: readonly Omit<Mutation, 'text'>[] = explanations.flatMap(
  ({ file, member, changes }) => changes.map(([before, after]) => ({ file, member, before, after })),
)

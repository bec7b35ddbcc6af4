import type { History } from './history.js'
import {
  destroyedUnasked,
  executedAgain,
  inDisorder,
  loggedOut,
  lostSaves,
  resurrected,
  wronglyRefused,
} from './saves.js'
import { sessionsIn } from './session-history.js'
import { backInTime, madeUp, pastItsEnd, revokedInVain, servedAfterOwn, stale } from './staleness.js'
import { round } from './write.js'

/** Each in the words with which it is reported. */
const perSession = {
  stale,
  'made up': madeUp,
  'back in time': backInTime,
  'served after its own': servedAfterOwn,
  'past its end': pastItsEnd,
  resurrected,
  'executed again': executedAgain,
  'in disorder': inDisorder,
  lost: lostSaves,
  'logged out': loggedOut,
  'destroyed unasked': destroyedUnasked,
  'wrongly refused': wronglyRefused,
} as const

const perHistory = { late, 'revoked in vain': revokedInVain } as const

type Promised = keyof typeof perSession | keyof typeof perHistory

export const promises = Object.keys({ ...perSession, ...perHistory }) as readonly Promised[]

export interface Breach {
  readonly promise: Promised
  readonly what: string
  /** Of which session, if it is of one. */
  readonly sid: string | undefined
}

/** What of the promises was broken. It speaks of what callers saw and servers executed, and of nothing else. */
export function brokenPromises(history: History): Breach[] {
  const breaches: Breach[] = []
  const add = (promise: Breach['promise'], found: readonly string[], sid?: string) =>
    breaches.push(...found.map(what => ({ promise, what, sid })))
  for (const [promise, check] of Object.entries(perHistory)) add(promise as never, check(history))
  for (const session of sessionsIn(history)) {
    for (const [promise, check] of Object.entries(perSession))
      add(promise as never, check(history, session), session.sid)
  }
  return breaches
}

/** 6. Every operation is over by its deadline, whatever happens. */
function late({ operations, pauses, bounds }: History): string[] {
  return operations.flatMap(({ kind, node, began, ended, sid }) => {
    const stood = (pauses.get(node) ?? [])
      .filter(({ from, to }) => to > began && from < (ended ?? Number.POSITIVE_INFINITY))
      .reduce((sum, { from, to }) => sum + to - Math.max(from, began), 0)
    const allowed = bounds.longest[kind] * bounds.rates + stood + bounds.rounding
    if (ended !== undefined && ended - began <= allowed) return []
    return [
      `${kind} of ${sid} on ${node}, begun at ${round(began)}, ${ended === undefined ? 'never ended' : `took ${round(ended - began)}`}`,
    ]
  })
}

import { cookieOf } from '../codec/record.js'
import { type Sighting, sightingOfNew } from '../sessions/sighting.js'

/**
 * What each session object of express-session stems from. Shared by all stores of the process, so that a session keeps
 * its sighting when a wrapped store or a second instance saves it.
 */
const sightings = new WeakMap<object, Sighting>()

export function rememberExpress(session: object, sighting: Sighting): void {
  sightings.set(session, sighting)
}

/** express-session wraps the record that `get` gave it into a Session; what is known of one is known of the other. */
export function inheritExpress(session: object, record: object): void {
  const sighting = sightings.get(record)
  if (sighting) sightings.set(session, sighting)
}

/** A session that was made in this request, and the tombstone of the destroy that made room for it. */
export function rememberNewExpress(session: object, id: string, space: string, tombstone?: string): void {
  sightings.set(session, sightingOfNew(id, space, tombstone))
}

export function sightingOfExpress(session: object, id: string, space: string): Sighting | undefined {
  const sighting = sightings.get(session)
  return sighting?.id === id && sighting.space === space ? sighting : undefined
}

export function originOfExpress(session: object): Sighting['origin'] | undefined {
  return sightings.get(session)?.origin
}

/**
 * Whether a touch has to be a save because the app changed for how long the session lives: only a save tells the next
 * request. A difference within `slack` is none, for a maximum age that is set on every request comes out a little off.
 */
export function lifeChanged(session: object, sighting: Sighting, slack: number): boolean {
  const before = sighting.snapshot && cookieOf(sighting.snapshot.data)?.originalMaxAge
  const after = cookieOf(session)?.originalMaxAge
  if (typeof before === 'number' && typeof after === 'number') return Math.abs(after - before) > slack
  return (before ?? null) !== (after ?? null)
}

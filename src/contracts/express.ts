// What each session object of express-session stems from is marked on the object itself, so that the session keeps its
// sighting when a wrapped store, or a second one in the process, saves it.

import { type Sighting, sightingOfNew } from '../sessions/sighting.js'
import { hiddenField } from './hidden-field.js'

const sightings = hiddenField<Sighting>()

export function rememberExpress(session: object, sighting: Sighting): void {
  sightings.put(session, sighting)
}

/** express-session wraps the record that `get` gave it into a Session; what is known of one is known of the other. */
export function inheritExpress(session: object, record: object): void {
  const sighting = sightings.of(record)
  if (sighting) sightings.put(session, sighting)
}

/** A session that was made in this request. */
export function rememberNewExpress(session: object, id: string, space: string): void {
  sightings.put(session, sightingOfNew(id, space))
}

export function sightingOfExpress(session: object, id: string, space: string): Sighting | undefined {
  const sighting = sightings.of(session)
  return sighting?.id === id && sighting.space === space ? sighting : undefined
}

export function originOfExpress(session: object): Sighting['origin'] | undefined {
  return sightings.of(session)?.origin
}

/**
 * Whether the response of the session's request is on its way already, as it is when express-session saves at its end. No
 * error can become part of it then: the default error handler would only close the connection, on which the client may have
 * sent its next request.
 */
export function responseHasBegun(session: unknown): boolean {
  const { req } = (session ?? {}) as { req?: { res?: { headersSent?: unknown } } }
  return req?.res?.headersSent === true
}

import type { Moment } from '../base/clock.js'
import type { RefusalReason } from '../base/errors.js'
import type { Entry } from '../cache/entry.js'
import type { Snapshot } from '../cache/snapshot.js'

/**
 * What one request has seen of a session, from its load to its save. A save is refused if the session was destroyed and
 * its sighting does not show that the request knows.
 */
export interface Sighting {
  readonly id: string
  /** Which store's sessions: a sighting says nothing of the same id elsewhere. */
  readonly space: string
  /** Where the answer came from; 'stale': from memory, since Redis could not be asked; 'new': the session was not there. */
  readonly origin: 'memory' | 'redis' | 'stale' | 'new'
  /** Whether the session was there. */
  existed: boolean
  /** The tombstone that was there, of a destroy that the request therefore knows of. */
  tombstone: string
  /** Redis' clock when it was seen. */
  seenAt: number
  /** What stood in Redis; absent if the session was not there. */
  entry: Entry | undefined
  /** What the app's own copy stems from. It differs from the entry once a save had to be merged with another's. */
  base: Snapshot | undefined
  /** The end of its life as the app was told, in ms since the epoch. */
  expiresAt: number | undefined
  /** Of what refusal of a save the app was told last. */
  toldOf?: RefusalReason | undefined
  /**
   * Set while the request knows the session to be its own creation that Redis has not confirmed yet: it may then save over
   * any tombstone older than its first attempt.
   */
  creation: { firstAttempt?: Moment; doubtful?: boolean } | undefined
}

/** The sighting of a session that its request is about to create; it knows of a destroy of its own, if there was one. */
export function sightingOfNew(id: string, space: string, tombstone = ''): Sighting {
  return {
    id,
    space,
    origin: 'new',
    existed: false,
    tombstone,
    seenAt: 0,
    entry: undefined,
    base: undefined,
    expiresAt: undefined,
    creation: {},
  }
}

/** For a caller of whom nothing is known: a save of it yields to any destroy that Redis remembers. */
export function unseen(id: string, space: string): Sighting {
  return { ...sightingOfNew(id, space), creation: undefined }
}

import { type Clock, momentOf } from '../base/clock.js'
import type { Announcement } from '../bus/bus.js'
import type { Expiry } from '../cache/entry.js'
import type { Codec } from '../codec/codec.js'
import { type Entering, type Full, type IndexEntries, keptPlace } from '../indexes/index-entries.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { Argument } from '../redis/redis-port.js'
import { destroyScript, saveScript, touchScript } from '../redis/scripts.js'
import type { Places, SessionNames, SessionRef } from '../redis/session-names.js'

/** A number as the client hands it over: some are set up to turn every number into a string. */
type Count = number | string

interface SaveCommand {
  ref: SessionRef
  text: string
  /** When the session was made, in ms since the epoch. */
  created: number
  px: number
  /** Leave the end of the session as it is in Redis; `px` counts only if it is not there. */
  keepEnd: boolean
  /** How long it may live at the most, whatever stands in Redis. */
  longest: number
  announcement: Announcement
  /** What the caller knows of a destroy. */
  tombstone: string
  /** When the caller saw the session; undefined if it saw none. */
  existedAt: number | undefined
  /** Somebody here has seen it lately, wherever it stood. */
  wasThere: boolean
  /** What may be replaced; empty for anything, or NOTHING. */
  expected: string
  /** The record by which it has its place in its indexes; empty if that is known otherwise. */
  known: string
  /** Undefined if it is in all its indexes for long enough. */
  entering: Entering | undefined
}

export interface SaveReply {
  outcome: 'saved' | 'destroyed' | 'gone' | 'changed' | 'full'
  tombstone: string
  seenAt: number
  expiry: Expiry
  /** Whether a session was there before. */
  wasThere: boolean
  /** What the record that was written is known by. */
  digest: string
  /** Which index is full, if one is. */
  full: Full | undefined
}

interface DestroyReply {
  /** What was left behind. */
  readonly tombstone: string
  /** Why it was not; empty if it was. */
  readonly failure: string
  /** Which of the sessions were there. */
  readonly found: number[]
}

interface TouchCommand {
  ref: SessionRef
  px: number
  announcement: Announcement
  /** The record that this node knows, if it is to be written anew. */
  outdated: { text: string; created: number; digest: string } | undefined
  /** The only record whose end may be moved; empty for any. */
  expected: string
  entering: Entering | undefined
}

interface SessionRepositoryParts {
  port: GuardedPort
  names: SessionNames
  codec: Codec
  entries: IndexEntries
  clock: Clock
  stats: Stats
  tombstoneTtl: number
}

/**
 * What is written of the sessions in Redis: each operation one script, one round trip; two where a session is not found under
 * its hashed id, or where it is to be entered into an index on another server. `until` is when its caller stops waiting.
 */
export class SessionRepository {
  readonly #parts: SessionRepositoryParts

  constructor(parts: SessionRepositoryParts) {
    this.#parts = parts
  }

  async save(command: SaveCommand, until: number): Promise<SaveReply> {
    const { port, names, entries, clock } = this.#parts
    const { ref, entering, px } = command
    const sealed = this.#seal(ref, command.text, command.created)
    // Waited for only if it has to be: writes leave in the order in which they were issued.
    const value = sealed instanceof Promise ? await sealed : sealed
    const apart = port.isCluster ? entering : undefined
    const entered = entries.ahead(px)
    const full = apart && (await entries.enter(apart, entered, until))
    if (full) return { ...NOTHING_SAVED, outcome: 'full', full, expiry: { since: momentOf(clock), ms: 0 } }
    const first = names.firstPlaceOf(ref)
    // One that was there and is not under its hash may stand under its id, and must not be left there.
    let reply = first && (await this.#save(command, value, first, until, command.wasThere))
    if (!reply || reply.outcome === 'elsewhere') {
      reply = await this.#save(command, value, names.placesOf(ref), until, false)
    }
    // It ends later than this node knew, since another had prolonged it.
    if (apart && reply.expiry.ms > entered) await entries.enter(unlimited(apart), reply.expiry.ms, until)
    return reply as SaveReply
  }

  async #save(
    command: SaveCommand,
    value: string | Buffer,
    { keys, target }: Places,
    until: number,
    onlyIfThere: boolean,
  ): Promise<Omit<SaveReply, 'outcome'> & { outcome: SaveReply['outcome'] | 'elsewhere' }> {
    const { port, codec, entries, clock, stats, tombstoneTtl } = this.#parts
    const { announcement, entering } = command
    const sentAt = momentOf(clock)
    const indexes = this.#inScript(entering)
    const args = [
      value,
      command.px,
      announcement.channel,
      announcement.message,
      command.tombstone,
      command.existedAt ?? '',
      tombstoneTtl,
      command.keepEnd ? '1' : '',
      target,
      onlyIfThere ? '1' : '',
      command.expected,
      keys.length,
      Number.isFinite(command.longest) ? command.longest : '',
      command.known,
      ...indexes.args,
    ]
    const reply = await port.run(saveScript, [...keys, ...indexes.keys], args, until)
    this.#count(announcement)
    stats.save.record(clock.monotonic() - sentAt.monotonic)
    const [outcome, tombstone, seenAt, px, wasThere, full] = reply as [
      SaveReply['outcome'] | 'elsewhere',
      string,
      Count,
      Count,
      Count,
      unknown,
    ]
    return {
      outcome,
      tombstone,
      seenAt: Number(seenAt),
      expiry: { since: sentAt, ms: Number(px) },
      wasThere: Number(wasThere) === 1,
      digest: codec.digestOf(value),
      full: full && entering ? entries.fullOf(full, entering.places) : undefined,
    }
  }

  async touch(command: TouchCommand, until: number): Promise<TouchOutcome> {
    const { port, names, entries } = this.#parts
    const { ref, outdated, entering, px } = command
    const anew = outdated && (await this.#seal(ref, outdated.text, outdated.created))
    if (entering && port.isCluster) await entries.enter(entering, entries.ahead(px), until)
    const first = names.firstPlaceOf(ref)
    const touched = first && (await this.#touch(command, anew, first, until))
    const outcome = touched || (await this.#touch(command, anew, names.placesOf(ref), until))
    return OUTCOME_OF_TOUCH[outcome] as TouchOutcome
  }

  async #touch(
    { px, announcement, outdated, expected, entering }: TouchCommand,
    anew: string | Buffer | undefined,
    { keys, target }: Places,
    until: number,
  ): Promise<number> {
    const { channel, message } = announcement
    const indexes = this.#inScript(entering)
    const args = [
      px,
      channel,
      message,
      target,
      outdated?.digest ?? '',
      anew ?? '',
      expected,
      keys.length,
      ...indexes.args,
    ]
    const reply = Number(await this.#parts.port.run(touchScript, [...keys, ...indexes.keys], args, until))
    if (reply === 2) this.#count(announcement)
    return reply
  }

  /** All in one step; on Redis Cluster therefore one at a time. */
  async destroy(
    refs: readonly SessionRef[],
    destroyId: string,
    announcement: Announcement,
    until: number,
  ): Promise<DestroyReply> {
    const { names } = this.#parts
    const [only, ...others] = refs
    const first = only && others.length === 0 ? names.firstPlaceOf(only) : undefined
    // What is named before it is known to be destroyed might be refused, and live on.
    const destroyed =
      first && !names.plainMayStand && (await this.#destroy([first.keys], destroyId, announcement, until))
    if (destroyed && destroyed.found.length > 0) return destroyed
    const keys = refs.map(ref => names.placesOf(ref).keys)
    if (!destroyed) return this.#destroy(keys, destroyId, announcement, until)
    return this.#destroy([keys.flat().slice(first.keys.length)], destroyId, announcement, until, '1')
  }

  async #destroy(
    keys: readonly (readonly string[])[],
    destroyId: string,
    { channel, message }: Announcement,
    until: number,
    back = '',
  ): Promise<DestroyReply> {
    const { port, tombstoneTtl } = this.#parts
    const args = [channel, message, destroyId, tombstoneTtl, back]
    const reply = await port.run(destroyScript, keys.flat(), args, until)
    this.#count({ channel, message })
    const [tombstone, failure, marks] = reply as [string, string, string]
    let first = 0
    const there = keys.map(own => {
      const count = own.length / 2
      first += count
      return String(marks)
        .slice(first - count, first)
        .includes('1')
    })
    return { tombstone, failure, found: [...there.keys()].filter(index => there[index]) }
  }

  /** What the script takes for the indexes; on Redis Cluster they are not in its slot. */
  #inScript(entering: Entering | undefined): { keys: string[]; args: Argument[] } {
    const { port, entries } = this.#parts
    return entering && !port.isCluster ? entries.forScript(entering) : { keys: [], args: [] }
  }

  #seal(ref: SessionRef, text: string, created: number): string | Buffer | Promise<string | Buffer> {
    const { codec, names } = this.#parts
    return codec.seal(text, () => names.bindingOf(ref), created)
  }

  #count({ channel }: Announcement): void {
    if (channel !== '') this.#parts.stats.messages.sent++
  }
}

/** What no record is known by: where this is expected, nothing is replaced. */
export const NOTHING = '-'

const NOTHING_SAVED = { tombstone: '', seenAt: 0, wasThere: false, digest: '' }

/** 'missing': there is no such session; 'shortened': it ends sooner than it did; 'changed': it is another record than the expected one. */
export type TouchOutcome = 'missing' | 'prolonged' | 'shortened' | 'changed'

/** By what the script answers. */
const OUTCOME_OF_TOUCH = ['missing', 'prolonged', 'shortened', 'changed'] as const

/** What was entered already is not turned away for want of room. */
function unlimited({ member, places }: Entering): Entering {
  return { member, places: places.map(({ at }) => keptPlace(at)) }
}

/** When the last of the tombstones was written, by Redis' clock; it stands in the tombstone itself. */
export function tombstoneTime(tombstones: string): number {
  return Math.max(...tombstones.split(' ').map(tombstone => Number(tombstone.split(':')[1])))
}

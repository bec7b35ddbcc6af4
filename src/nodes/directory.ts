import { pairsOf } from '../base/pairs.js'
import { entryFrom, entryFromText, type RegistryEntry } from './registry-entry.js'
import type { EntriesMessage } from './registry-message.js'

/** What became of one entry. */
export interface Change {
  readonly before: RegistryEntry | undefined
  readonly after: RegistryEntry | undefined
}

/**
 * All entries of the registry, as this process knows them: a copy that follows the messages, and is read anew where one is
 * missing. A message says which version it follows on, so that none is missed unnoticed; what comes twice is ignored.
 *
 * Where Redis has lost its data nobody has left: what was known stays for a while, until its owners have registered anew.
 */
export class Directory {
  readonly entries = new Map<string, RegistryEntry>()
  #version = ''
  readonly #unconfirmed = new Set<string>()
  readonly #changed: (changes: readonly Change[]) => void

  constructor(changed: (changes: readonly Change[]) => void) {
    this.#changed = changed
  }

  /** Of the last change that is known; empty while nothing is. */
  get version(): string {
    return this.#version
  }

  /** Makes of one message what it says. False if some before it are missing. */
  hear(message: EntriesMessage): boolean {
    if (numberOf(message.to) <= numberOf(this.#version)) return true
    if (message.from !== this.#version) return false
    this.#version = message.to
    const changes: Change[] = []
    for (const field of message.gone) this.#put(field, undefined, changes)
    for (const [field, value] of Object.entries(message.set)) this.#put(field, entryFrom(value), changes)
    this.#tell(changes)
    return true
  }

  /** All there is, as Redis has it at that version. True if Redis has lost what was known before. */
  replace(version: string, stored: readonly string[]): boolean {
    const lost = this.#version !== '' && epochOf(version) !== epochOf(this.#version)
    this.#version = version
    const changes: Change[] = []
    const pairs = pairsOf(stored)
    const fields = new Set(pairs.map(([field]) => field))
    for (const field of [...this.entries.keys()]) {
      if (fields.has(field)) continue
      if (lost) this.#unconfirmed.add(field)
      else if (!this.#unconfirmed.has(field)) this.#put(field, undefined, changes)
    }
    for (const [field, text] of pairs) this.#put(field, entryFromText(text), changes)
    this.#tell(changes)
    return lost
  }

  /** Who has not registered anew by now is gone. */
  dropUnconfirmed(): void {
    const changes: Change[] = []
    for (const field of [...this.#unconfirmed]) this.#put(field, undefined, changes)
    this.#tell(changes)
  }

  #put(field: string, after: RegistryEntry | undefined, changes: Change[]): void {
    this.#unconfirmed.delete(field)
    const before = this.entries.get(field)
    if (JSON.stringify(before) === JSON.stringify(after)) return
    this.entries.delete(field)
    // What has changed last stands last.
    if (after) this.entries.set(field, after)
    changes.push({ before, after })
  }

  #tell(changes: readonly Change[]): void {
    if (changes.length > 0) this.#changed(changes)
  }
}

function epochOf(version: string): string {
  return version.split(':')[0] as string
}

/** NaN where there is no version, which nothing is older than. */
function numberOf(version: string): number {
  return Number(version.split(':')[1])
}

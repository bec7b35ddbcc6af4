import { hash } from 'node:crypto'
import { UnreadableError } from '../base/errors.js'
import type { Stats } from '../observe/stats.js'
import { type Compression, decompress } from './compression.js'
import { headerOf, isEnvelope, readEnvelope } from './envelope.js'
import { type KeyRing, unknownKey } from './key-ring.js'

interface CodecParts {
  /** Undefined: nothing is compressed. What is, can be read all the same. */
  compression: Compression | undefined
  /** Undefined: nothing is encrypted, and nothing that is can be read. */
  encryption: { keys: KeyRing; write: boolean; acceptPlaintext: boolean } | undefined
  /** Whether records tell when their session was made. */
  dated: boolean
  /** Whether somebody asks what a record is known by. */
  digested: boolean
  maxSessionBytes: number
  stats: Stats
}

export interface Opened {
  readonly text: string
  /** When the session was made, in ms since the epoch, if the record tells. */
  readonly created: number | undefined
  /** Whether this node writes it otherwise: under another key or none, or with the time at which it was made. */
  readonly outdated: boolean
}

/**
 * Text to bytes and back: compressed, then encrypted, each if it is asked for, in one envelope. Without either the text
 * itself is written. Reading takes whatever the configuration allows to read, however this node writes.
 */
export class Codec {
  readonly #parts: CodecParts
  readonly #writingKey: string | undefined

  constructor(parts: CodecParts) {
    this.#parts = parts
    this.#writingKey = parts.encryption?.write ? parts.encryption.keys.writes : undefined
  }

  /**
   * `binding` names the session: an encrypted record opens under the same name only. `created` is when it was made.
   */
  seal(text: string, binding: () => string, created?: number): string | Buffer | Promise<string | Buffer> {
    const { compression, dated } = this.#parts
    if (!compression && !dated && this.#writingKey === undefined) return text
    const bytes = Buffer.from(text)
    const compressed = compression?.compress(bytes)
    if (compressed instanceof Promise) {
      return compressed.then(smaller => this.#envelope(text, bytes, smaller, binding, created))
    }
    return this.#envelope(text, bytes, compressed, binding, created)
  }

  /** What the scripts know a record by; empty where nobody asks. */
  digestOf(bytes: string | Buffer, outdated = false): string {
    return this.#parts.digested || outdated ? hash('sha1', bytes, 'hex') : ''
  }

  #envelope(
    text: string,
    bytes: Buffer,
    compressed: Buffer | undefined,
    binding: () => string,
    created?: number,
  ) {
    const { dated } = this.#parts
    const keyId = this.#writingKey
    if (keyId === undefined && !compressed && !dated) return text
    const payload = compressed ?? bytes
    const header = headerOf({
      compression: compressed ? (this.#parts.compression?.number ?? 0) : 0,
      size: compressed ? bytes.length : 0,
      created: dated ? created : undefined,
      keyId,
    })
    const body =
      keyId === undefined
        ? payload
        : (this.#parts.encryption as { keys: KeyRing }).keys.encrypt(payload, header, binding())
    return Buffer.concat([header, body])
  }

  /**
   * A promise only of what has to be decompressed: most are opened by the hundred, and waiting costs more than opening. Throws,
   * or rejects with, UnreadableError if the bytes are no record, RecordError if this node is not set up to read it.
   */
  open(bytes: Buffer, binding: () => string): Opened | Promise<Opened> {
    const { encryption, maxSessionBytes, stats } = this.#parts
    const envelope = isEnvelope(bytes) ? readEnvelope(bytes) : undefined
    let payload = envelope?.body ?? bytes
    if (envelope?.keyId !== undefined) {
      if (!encryption) throw unknownKey(envelope.keyId, [])
      payload = encryption.keys.decrypt(envelope.keyId, payload, envelope.header, binding())
    } else if (encryption) {
      // Whoever can write to Redis could otherwise put a session of their own in the place of an encrypted one.
      if (!encryption.acceptPlaintext) throw new UnreadableError('it is not encrypted')
      stats.plaintextReads++
    }
    const created = envelope?.created
    const outdated = envelope?.keyId !== this.#writingKey || (this.#parts.dated && created === undefined)
    const opened = (text: Buffer) => ({ text: text.toString(), created, outdated })
    return envelope && envelope.compression !== 0
      ? decompress(envelope, payload, maxSessionBytes).then(opened)
      : opened(payload)
  }
}

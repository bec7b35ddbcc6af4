import { RecordError, UnreadableError } from '../base/errors.js'

/**
 * What stands in Redis where plain text does not do:
 *
 *   1 byte   0xFE, which no UTF-8 text contains
 *   1 byte   format version
 *   1 byte   flags: bits 0-1 the compression (0 none), bit 2 encrypted, bit 3 with the time of its creation
 *   4 bytes  the size before compression, big-endian                        if compressed
 *   6 bytes  when the session was made, in ms since the epoch, big-endian   if with that
 *   1 + n    the length of the key's id, and the id                         if encrypted
 *   12       the nonce                                                      if encrypted
 *   rest     the payload
 *   16       the authentication tag                                         if encrypted
 *
 * Everything in front of the nonce is the header. It is authenticated together with the payload.
 */
interface Envelope {
  readonly header: Buffer
  /** Which one, by number; 0 for none. */
  readonly compression: number
  /** Before compression; 0 if there was none. */
  readonly size: number
  /** When the session was made, in ms since the epoch; undefined if it does not tell. */
  readonly created: number | undefined
  /** The key it is encrypted under; undefined if it is not. */
  readonly keyId: string | undefined
  /** What follows the header. */
  readonly body: Buffer
}

/** The compressions, by the number that stands for each; 0 for none. */
export const COMPRESSIONS = { deflate: 1, brotli: 2 } as const
const LAST_COMPRESSION = Math.max(...Object.values(COMPRESSIONS))

const MAGIC = 0xfe
const VERSION = 1
const COMPRESSION = 0b0011
const ENCRYPTED = 0b0100
const CREATED = 0b1000
const FIXED = 3
const SIZE = 4
const TIME = 6
/** What compression adds to a record that would do without an envelope. */
export const COMPRESSED_ADDS = FIXED + SIZE

export function isEnvelope(bytes: Buffer): boolean {
  return bytes[0] === MAGIC
}

export function headerOf({ compression, size, created, keyId }: Omit<Envelope, 'header' | 'body'>): Buffer {
  const id = keyId === undefined ? undefined : Buffer.from(keyId)
  const flags = compression | (id ? ENCRYPTED : 0) | (created === undefined ? 0 : CREATED)
  const length =
    FIXED + (compression === 0 ? 0 : SIZE) + (created === undefined ? 0 : TIME) + (id ? 1 + id.length : 0)
  const header = Buffer.allocUnsafe(length)
  let at = header.writeUInt8(MAGIC, 0)
  at = header.writeUInt8(VERSION, at)
  at = header.writeUInt8(flags, at)
  if (compression !== 0) at = header.writeUInt32BE(size, at)
  if (created !== undefined) at = header.writeUIntBE(Math.floor(created), at, TIME)
  if (id) id.copy(header, header.writeUInt8(id.length, at))
  return header
}

export function readEnvelope(bytes: Buffer): Envelope {
  const version = bytes[1] ?? 0
  const flags = bytes[2] ?? 0
  if (version === 0 || flags === 0) throw new UnreadableError('it is no envelope')
  if (
    version > VERSION ||
    flags > (COMPRESSION | ENCRYPTED | CREATED) ||
    (flags & COMPRESSION) > LAST_COMPRESSION
  ) {
    throw new RecordError(
      'ERR_NEWER_FORMAT',
      'The stored session has a newer format than this version of the package reads; update this node',
    )
  }
  const compression = flags & COMPRESSION
  const encrypted = (flags & ENCRYPTED) !== 0
  let at = FIXED
  const size = compression === 0 ? 0 : part(bytes, at, SIZE).readUInt32BE()
  if (compression !== 0) at += SIZE
  const created = (flags & CREATED) === 0 ? undefined : part(bytes, at, TIME).readUIntBE(0, TIME)
  if (created !== undefined) at += TIME
  let keyId: string | undefined
  if (encrypted) {
    const length = part(bytes, at, 1).readUInt8()
    keyId = part(bytes, at + 1, length).toString()
    at += 1 + length
  }
  return { header: bytes.subarray(0, at), compression, size, created, keyId, body: bytes.subarray(at) }
}

function part(bytes: Buffer, start: number, length: number): Buffer {
  if (start + length > bytes.length) throw new UnreadableError('it is cut off')
  return bytes.subarray(start, start + length)
}

import { RecordError, UnreadableError } from '../base/errors.js'

/**
 * What stands in Redis where plain text does not do:
 *
 *   1 byte   0xFE, which no UTF-8 text contains
 *   1 byte   format version
 *   1 byte   flags: bits 0-1 the compression (0 none), bit 2 encrypted
 *   4 bytes  the size before compression, big-endian                        if compressed
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
  /** The key it is encrypted under; undefined if it is not. */
  readonly keyId: string | undefined
  /** What follows the header. */
  readonly body: Buffer
}

const MAGIC = 0xfe
const VERSION = 1
const COMPRESSION = 0b011
const ENCRYPTED = 0b100
/** How many compressions there are. */
const ALGORITHMS = 2
const FIXED = 3

export function isEnvelope(bytes: Buffer): boolean {
  return bytes[0] === MAGIC
}

export function headerOf({ compression, size, keyId }: Omit<Envelope, 'header' | 'body'>): Buffer {
  const id = keyId === undefined ? undefined : Buffer.from(keyId)
  const header = Buffer.allocUnsafe(FIXED + (compression === 0 ? 0 : 4) + (id ? 1 + id.length : 0))
  let at = header.writeUInt8(MAGIC, 0)
  at = header.writeUInt8(VERSION, at)
  at = header.writeUInt8(compression | (id ? ENCRYPTED : 0), at)
  if (compression !== 0) at = header.writeUInt32BE(size, at)
  if (id) id.copy(header, header.writeUInt8(id.length, at))
  return header
}

export function readEnvelope(bytes: Buffer): Envelope {
  const version = bytes[1] ?? 0
  const flags = bytes[2] ?? 0
  if (version === 0 || flags === 0) throw new UnreadableError('it is no envelope')
  if (version > VERSION || flags > (COMPRESSION | ENCRYPTED) || (flags & COMPRESSION) > ALGORITHMS) {
    throw new RecordError(
      'ERR_NEWER_FORMAT',
      'The stored session has a newer format than this version of the package reads; update this node',
    )
  }
  const compression = flags & COMPRESSION
  const encrypted = (flags & ENCRYPTED) !== 0
  let at = FIXED
  const size = compression === 0 ? 0 : part(bytes, at, 4).readUInt32BE()
  if (compression !== 0) at += 4
  let keyId: string | undefined
  if (encrypted) {
    const length = part(bytes, at, 1).readUInt8()
    keyId = part(bytes, at + 1, length).toString()
    at += 1 + length
  }
  return { header: bytes.subarray(0, at), compression, size, keyId, body: bytes.subarray(at) }
}

function part(bytes: Buffer, start: number, length: number): Buffer {
  if (start + length > bytes.length) throw new UnreadableError('it is cut off')
  return bytes.subarray(start, start + length)
}

import { randomBytes } from 'node:crypto'
import { Codec, type Opened } from '../../src/codec/codec.js'
import { Compression, type CompressionAlgorithm } from '../../src/codec/compression.js'
import { type EncryptionKey, KeyRing } from '../../src/codec/key-ring.js'
import { jsonSerializer } from '../../src/codec/serializer.js'
import { Stats } from '../../src/observe/stats.js'

export const MIB = 1024 * 1024
export const K1: EncryptionKey = { id: 'k1', secret: Buffer.alloc(32, 1) }
export const K2: EncryptionKey = { id: 'k2', secret: Buffer.alloc(32, 2) }
/** What the records of most tests are bound to. */
export const BINDING = () => 'sess:sha256:of-one-session'

/** When the sessions of most tests were made, where their records tell. */
export const CREATED = 1_800_000_000_123

export interface CodecSettings {
  compression?: { threshold: number; algorithm: CompressionAlgorithm }
  keys?: EncryptionKey[]
  write?: boolean
  acceptPlaintext?: boolean
  dated?: boolean
  digested?: boolean
  maxSessionBytes?: number
  stats?: Stats
}

export function codecOf(settings: CodecSettings = {}): Codec {
  const { compression, keys, write = true, acceptPlaintext = false } = settings
  return new Codec({
    compression: compression && new Compression(compression),
    encryption: keys && { keys: new KeyRing(keys), write, acceptPlaintext },
    dated: settings.dated ?? false,
    digested: settings.digested ?? false,
    maxSessionBytes: settings.maxSessionBytes ?? 16 * MIB,
    stats: settings.stats ?? new Stats(),
  })
}

/** What would stand in Redis. */
export async function sealed(
  codec: Codec,
  text: string,
  binding = BINDING,
  created = CREATED,
): Promise<Buffer> {
  const record = await codec.seal(text, binding, created)
  return typeof record === 'string' ? Buffer.from(record) : record
}

/** The session in a record, as the store gets at it. */
export async function read(codec: Codec, record: Buffer, binding = BINDING): Promise<object> {
  return jsonSerializer.parse((await open(codec, record, binding)).text)
}

/** Whether it answers at once or not, and throws or rejects. */
export async function open(codec: Codec, record: Buffer, binding = BINDING): Promise<Opened> {
  return codec.open(record, binding)
}

/** JSON of exactly so many bytes, which compresses as a session does or, with `noise`, hardly at all. */
export function jsonOf(bytes: number, noise = false): string {
  const frame = Buffer.byteLength(JSON.stringify({ ü: '' }))
  if (bytes < frame) throw new Error(`There is no such JSON below ${frame} bytes`)
  const words = 'user ada cart sku price 12.50 theme dark csrf 3f9ac81e '.repeat(Math.ceil(bytes / 50))
  const filler = noise ? randomBytes(bytes).toString('base64') : words
  return JSON.stringify({ ü: filler.slice(0, bytes - frame) })
}

import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { RecordError, UnreadableError } from '../base/errors.js'
import { COMPRESSED_ADDS, COMPRESSIONS } from './envelope.js'

/** Below this it takes longer to hand the work to another thread than to do it. */
const SYNC_BELOW = 32 * 1024

const SMALLEST_CHUNK = 64
const LARGEST_CHUNK = 256 * 1024

interface Limits {
  maxOutputLength: number
  /** How much is inflated at a time. Each time costs a trip to another thread. */
  chunkSize: number
}

interface Algorithm {
  /** As it stands in the envelope. */
  readonly number: number
  deflateSync(bytes: Buffer): Buffer
  deflate(bytes: Buffer): Promise<Buffer>
  inflateSync(bytes: Buffer, limits: Limits): Buffer
  inflate(bytes: Buffer, limits: Limits): Promise<Buffer>
}

/** The memory of zlib's defaults makes records of this size neither smaller nor faster. */
const DEFLATE = { level: 1, windowBits: 13, memLevel: 7 }
const BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }
const [deflateRaw, inflateRaw, brotliCompress, brotliDecompress] = [
  promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.deflateRaw),
  promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflateRaw),
  promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliCompress),
  promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress),
]

const ALGORITHMS = {
  deflate: {
    number: COMPRESSIONS.deflate,
    deflateSync: bytes => zlib.deflateRawSync(bytes, DEFLATE),
    deflate: bytes => deflateRaw(bytes, DEFLATE),
    inflateSync: (bytes, limits) => zlib.inflateRawSync(bytes, limits),
    inflate: inflateRaw,
  },
  brotli: {
    number: COMPRESSIONS.brotli,
    deflateSync: bytes => zlib.brotliCompressSync(bytes, BROTLI),
    deflate: bytes => brotliCompress(bytes, BROTLI),
    inflateSync: (bytes, limits) => zlib.brotliDecompressSync(bytes, limits),
    inflate: brotliDecompress,
  },
} satisfies Record<keyof typeof COMPRESSIONS, Algorithm>

export type CompressionAlgorithm = keyof typeof ALGORITHMS
export const COMPRESSION_ALGORITHMS = Object.keys(ALGORITHMS) as CompressionAlgorithm[]

/** Makes records smaller. What does not get smaller by it stays as it is. */
export class Compression {
  readonly #threshold: number
  readonly #algorithm: Algorithm

  constructor({ threshold, algorithm }: { threshold: number; algorithm: CompressionAlgorithm }) {
    this.#threshold = threshold
    this.#algorithm = ALGORITHMS[algorithm]
  }

  /** How this one compresses, as it stands in the envelope. */
  get number(): number {
    return this.#algorithm.number
  }

  /** Undefined if it does not pay. A promise above the size at which the event loop would be held up. */
  compress(bytes: Buffer): Buffer | undefined | Promise<Buffer | undefined> {
    if (bytes.length < this.#threshold) return undefined
    const ifSmaller = (compressed: Buffer) =>
      compressed.length + COMPRESSED_ADDS < bytes.length ? compressed : undefined
    if (bytes.length < SYNC_BELOW) return ifSmaller(this.#algorithm.deflateSync(bytes))
    return this.#algorithm.deflate(bytes).then(ifSmaller)
  }
}

/** Never takes more memory than `limit`, whatever the bytes say of themselves. */
export async function decompress(
  { compression, size }: { compression: number; size: number },
  bytes: Buffer,
  limit: number,
): Promise<Buffer> {
  if (size > limit) {
    throw new RecordError(
      'ERR_TOO_LARGE',
      `The stored session takes ${size} bytes when decompressed; maxSessionBytes allows ${limit}`,
    )
  }
  const algorithm = Object.values<Algorithm>(ALGORITHMS).find(({ number }) => number === compression)
  if (!algorithm) throw new UnreadableError('it is compressed in no known way')
  let inflated: Buffer
  try {
    const limits = {
      maxOutputLength: Math.max(1, size),
      chunkSize: Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, size + 1)),
    }
    inflated =
      size < SYNC_BELOW ? algorithm.inflateSync(bytes, limits) : await algorithm.inflate(bytes, limits)
  } catch {
    throw new UnreadableError('it cannot be decompressed')
  }
  if (inflated.length !== size) throw new UnreadableError('it is not as long as it says')
  return inflated
}

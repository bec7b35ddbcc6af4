import { randomBytes } from 'node:crypto'
import {
  type BrotliCompress,
  constants,
  createBrotliCompress,
  createDeflateRaw,
  type DeflateRaw,
} from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { RecordError, UnreadableError } from '../../src/base/errors.js'
import { COMPRESSION_ALGORITHMS, type CompressionAlgorithm } from '../../src/codec/compression.js'
import { headerOf } from '../../src/codec/envelope.js'
import { BINDING, codecOf, jsonOf, K1, MIB, open, sealed } from './codecs.js'

const NUMBERS: Record<CompressionAlgorithm, number> = { deflate: 1, brotli: 2 }
const KIB_32 = 32 * 1024

/** `bytes` zeros, compressed piece by piece: in memory there is never more than one of them. */
async function zeros(algorithm: CompressionAlgorithm, bytes: number): Promise<Buffer> {
  const stream: DeflateRaw | BrotliCompress =
    algorithm === 'deflate'
      ? createDeflateRaw()
      : createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
  const piece = Buffer.alloc(MIB, ' ')
  const compressed = stream.toArray()
  for (let written = 0; written < bytes; written += piece.length) {
    if (!stream.write(piece)) await new Promise(resolve => stream.once('drain', resolve))
  }
  stream.end()
  return Buffer.concat(await compressed)
}

function recordOf(algorithm: CompressionAlgorithm, size: number, body: Buffer): Buffer {
  return Buffer.concat([
    headerOf({ compression: NUMBERS[algorithm], size, created: undefined, keyId: undefined }),
    body,
  ])
}

/** By how many bytes the most memory that the process ever had has grown meanwhile, and what came of it. */
async function peak(run: () => Promise<unknown>): Promise<{ grown: number; outcome: unknown }> {
  const before = process.resourceUsage().maxRSS
  // Not what was opened: a test that fails would print it.
  const outcome = await run().then(
    () => 'opened',
    (error: unknown) => error,
  )
  return { grown: (process.resourceUsage().maxRSS - before) * 1024, outcome }
}

describe.each(COMPRESSION_ALGORITHMS)('%s', algorithm => {
  const codec = codecOf({ compression: { threshold: 0, algorithm } })

  it('is kept only if the record gets smaller by it', async () => {
    for (const bytes of [400, 2_000, KIB_32 - 1, KIB_32, 100_000]) {
      // Random bytes as base64 lose a quarter: that pays too.
      for (const text of [jsonOf(bytes), jsonOf(bytes, true)]) {
        expect((await sealed(codec, text)).length).toBeLessThan(bytes)
      }
    }
    for (const text of [
      '{}',
      '{"a":1}',
      JSON.stringify({ id: randomBytes(8).toString('hex').slice(0, 9) }),
    ]) {
      expect(await codec.seal(text, BINDING)).toBe(text)
    }
    const both = codecOf({ compression: { threshold: 0, algorithm }, keys: [K1] })
    const record = await sealed(both, '{"a":1}')
    expect(record[2]).toBe(0b100)
  })

  it('never makes a record larger, its header included (guards: kept only if smaller)', async () => {
    for (let length = 2; length < 120; length++) {
      for (const text of [
        JSON.stringify('ab'.repeat(length)),
        JSON.stringify(randomBytes(length).toString('base64url')),
      ]) {
        expect((await sealed(codec, text)).length).toBeLessThanOrEqual(text.length)
      }
    }
  })

  it('counts bytes and not characters', () => {
    const limited = codecOf({ compression: { threshold: 1_000, algorithm } })
    expect(typeof limited.seal('ü'.repeat(499), BINDING)).toBe('string')
    expect(limited.seal('ü'.repeat(500), BINDING)).toBeInstanceOf(Buffer)
    expect(codec.seal('ü'.repeat(KIB_32 / 2 - 1), BINDING)).toBeInstanceOf(Buffer)
    expect(codec.seal('ü'.repeat(KIB_32 / 2), BINDING)).toBeInstanceOf(Promise)
  })

  it('leaves the event loop free from 32 KiB on, both ways', async () => {
    const text = jsonOf(8 * MIB)
    let done = false
    const sealing = Promise.resolve(codec.seal(text, BINDING)).finally(() => {
      done = true
    })
    await new Promise(setImmediate)
    expect(done).toBe(false)
    const record = (await sealing) as Buffer
    done = false
    const opening = open(codec, record).finally(() => {
      done = true
    })
    await new Promise(setImmediate)
    expect(done).toBe(false)
    expect((await opening).text === text).toBe(true)
  })

  it('is told apart from the other by the record', async () => {
    const [other] = COMPRESSION_ALGORITHMS.filter(each => each !== algorithm) as [CompressionAlgorithm]
    const record = await sealed(codec, jsonOf(500))
    expect(record[2]).toBe(NUMBERS[algorithm])
    expect((await open(codecOf({ compression: { threshold: 0, algorithm: other } }), record)).text).toBe(
      jsonOf(500),
    )
    record[2] = NUMBERS[other]
    await expect(open(codecOf(), record)).rejects.toThrow(UnreadableError)
  })

  describe('a bomb', () => {
    const BOMB = 384 * MIB
    const SMALL = 48 * MIB
    let body: Buffer

    beforeAll(async () => {
      body = await zeros(algorithm, BOMB)
    })

    it('that says how large it is is an error that says so', async () => {
      const bomb = recordOf(algorithm, BOMB, body)
      const { grown, outcome } = await peak(() => open(codecOf(), bomb))
      expect(outcome).toBeInstanceOf(RecordError)
      expect(outcome).toMatchObject({
        code: 'ERR_TOO_LARGE',
        message: `The stored session takes ${BOMB} bytes when decompressed; maxSessionBytes allows ${16 * MIB}`,
      })
      expect(grown).toBeLessThan(SMALL)
    })

    it.each([0, 1, 1_000, KIB_32 - 1, KIB_32, 16 * MIB])(
      'that says it takes %d bytes takes no more (guards: maxOutputLength)',
      async size => {
        const bomb = recordOf(algorithm, size, body)
        const { grown, outcome } = await peak(() => open(codecOf(), bomb))
        expect(outcome).toBeInstanceOf(UnreadableError)
        expect(grown).toBeLessThan(size + SMALL)
      },
    )

    it('cannot hide behind encryption, for those who have the key', async () => {
      const wide = codecOf({
        compression: { threshold: 0, algorithm },
        keys: [K1],
        maxSessionBytes: 64 * MIB,
      })
      const record = await sealed(wide, JSON.stringify({ filler: ' '.repeat(20 * MIB) }))
      const { outcome } = await peak(() => open(codecOf({ keys: [K1] }), record))
      expect(outcome).toMatchObject({ code: 'ERR_TOO_LARGE' })
    })
  })

  it('opens what takes just as many bytes as are allowed, and nothing above', async () => {
    for (const bytes of [1_000, 40_000]) {
      const record = await sealed(codec, jsonOf(bytes))
      expect((await open(codecOf({ maxSessionBytes: bytes }), record)).text).toBe(jsonOf(bytes))
      await expect(open(codecOf({ maxSessionBytes: bytes - 1 }), record)).rejects.toThrow(RecordError)
    }
  })

  it('refuses a record that is shorter or longer than it says', async () => {
    for (const bytes of [500, 40_000]) {
      const record = await sealed(codec, jsonOf(bytes))
      for (const size of [0, 1, bytes - 1, bytes + 1, 2 * bytes, KIB_32 - 1, KIB_32]) {
        const lying = Buffer.from(record)
        lying.writeUInt32BE(size, 3)
        await expect(open(codecOf(), lying), `${size}`).rejects.toThrow(UnreadableError)
      }
    }
  })
})

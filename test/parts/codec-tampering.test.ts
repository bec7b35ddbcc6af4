import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordError, UnreadableError } from '../../src/base/errors.js'
import type { Codec } from '../../src/codec/codec.js'
import { type CodecSettings, codecOf, jsonOf, K1, K2, open, read, sealed } from './codecs.js'

const DEFLATE = { threshold: 0, algorithm: 'deflate' } as const
const BROTLI = { threshold: 0, algorithm: 'brotli' } as const

const encrypted: [name: string, settings: CodecSettings][] = [
  ['encrypted', { keys: [K1] }],
  ['encrypted and deflated', { keys: [K1], compression: DEFLATE }],
  ['encrypted and brotlied', { keys: [K1], compression: BROTLI }],
  ['encrypted, with the time of its creation', { keys: [K1], dated: true }],
  ['encrypted under a long id', { keys: [{ id: 'k'.repeat(64), secret: K1.secret }] }],
]
const compressed: typeof encrypted = [
  ['deflated', { compression: DEFLATE }],
  ['brotlied', { compression: BROTLI }],
]

/** The readers of a record: the one that wrote it, and the ones that let more through. */
function readersOf({ keys = [K1], ...settings }: CodecSettings): Codec[] {
  return [
    codecOf({ keys, ...settings }),
    codecOf({ keys: [...keys, K2], acceptPlaintext: true }),
    codecOf({ keys, write: false, acceptPlaintext: true }),
    codecOf(),
  ]
}

/** Neither a session nor any other error. */
async function expectNoSession(codec: Codec, bytes: Buffer, what: () => string): Promise<void> {
  const outcome = await read(codec, bytes).catch((error: unknown) => error)
  if (outcome instanceof UnreadableError || outcome instanceof RecordError) return
  expect.fail(`${what()} gave ${outcome instanceof Error ? outcome.stack : 'a session'}`)
}

function flip(record: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(record)
  flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
  return flipped
}

describe('an encrypted record of which one bit was flipped', () => {
  it.each(encrypted)('(%s) is never accepted, whichever bit it is', async (_name, settings) => {
    const readers = readersOf(settings)
    for (const text of ['{}', jsonOf(160)]) {
      const record = await sealed(readers[0] as Codec, text)
      expect(await read(readers[0] as Codec, record)).toEqual(JSON.parse(text))
      for (let bit = 0; bit < record.length * 8; bit++) {
        for (const codec of readers) await expectNoSession(codec, flip(record, bit), () => `bit ${bit}`)
      }
    }
  })

  // Without a second look at the JSON: what is strict gives no text at all.
  it.each(encrypted)('(%s) does not even open where plaintext is refused', async (_name, settings) => {
    const codec = codecOf(settings)
    const record = await sealed(codec, jsonOf(160))
    for (let bit = 0; bit < record.length * 8; bit++) {
      const outcome = await open(codec, flip(record, bit)).catch((error: unknown) => error)
      expect(outcome instanceof UnreadableError || outcome instanceof RecordError, `bit ${bit}`).toBe(true)
    }
  })

  it('is never accepted, whatever the session and whichever bits they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...encrypted),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.nat(40_000),
        fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 4 }),
        async ([, settings], data, filler, bits) => {
          const readers = readersOf(settings)
          const text = JSON.stringify({ ...data, filler: jsonOf(filler + 10) })
          const record = await sealed(readers[0] as Codec, text)
          const places = new Set(bits.map(bit => bit % (record.length * 8)))
          const flipped = [...places].reduce(flip, record)
          for (const codec of readers) await expectNoSession(codec, flipped, () => `bits ${[...places]}`)
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('a record that is cut off', () => {
  it.each([...encrypted, ...compressed])('(%s) is none, at whichever length', async (_name, settings) => {
    const record = await sealed(codecOf(settings), jsonOf(300))
    const readers = readersOf(settings)
    for (let length = 0; length < record.length; length++) {
      for (const codec of readers) {
        await expectNoSession(codec, record.subarray(0, length), () => `${length} of ${record.length} bytes`)
      }
    }
  })

  it.each(encrypted)('(%s) is none with something behind it', async (_name, settings) => {
    const record = await sealed(codecOf(settings), jsonOf(300))
    for (const more of [Buffer.from([0]), randomBytes(16), record]) {
      const longer = Buffer.concat([record, more])
      for (const codec of readersOf(settings)) await expectNoSession(codec, longer, () => 'a longer one')
    }
  })
})

describe('bytes that are no record', () => {
  const starts: number[][] = [[], [0xfe], [0xfe, 1], ...[1, 2, 3, 4, 5, 6, 7].map(flags => [0xfe, 1, flags])]
  const known = [...Buffer.from([2]), ...Buffer.from('k1')]
  for (const flags of [4, 5, 6]) {
    starts.push([0xfe, 1, flags, ...(flags > 4 ? [0, 0, 0, 40] : []), ...known])
  }

  const readers = readersOf({})

  it('give a typed error and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...starts),
        fc.uint8Array({ maxLength: 200 }),
        async (start, noise) => {
          const bytes = Buffer.from([...start, ...noise])
          for (const codec of readers) await expectNoSession(codec, bytes, () => bytes.toString('hex'))
        },
      ),
      { numRuns: 3_000 },
    )
  })

  it('give the same also where they are all of one or two bytes', async () => {
    for (let first = 0; first < 256; first++) {
      for (const rest of [[], [0], [1], [2], [1, 0], [1, 4], [1, 5], [1, 7], [1, 8]]) {
        const bytes = Buffer.from([first, ...rest])
        for (const codec of readers) await expectNoSession(codec, bytes, () => bytes.toString('hex'))
      }
    }
  })
})

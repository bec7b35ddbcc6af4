import { hash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordError, UnreadableError } from '../../src/base/errors.js'
import { Stats } from '../../src/observe/stats.js'
import {
  BINDING,
  type CodecSettings,
  CREATED,
  codecOf,
  jsonOf,
  K1,
  K2,
  open,
  read,
  sealed,
} from './codecs.js'

const NO_THRESHOLD = {
  deflate: { threshold: 0, algorithm: 'deflate' },
  brotli: { threshold: 0, algorithm: 'brotli' },
} as const
const FROM_1_KIB = {
  deflate: { threshold: 1_024, algorithm: 'deflate' },
  brotli: { threshold: 1_024, algorithm: 'brotli' },
} as const

const optionSets: [name: string, settings: CodecSettings][] = [
  ['nothing', {}],
  ['deflate', { compression: NO_THRESHOLD.deflate }],
  ['brotli', { compression: NO_THRESHOLD.brotli }],
  ['deflate from 1 KiB on', { compression: FROM_1_KIB.deflate }],
  ['brotli from 1 KiB on', { compression: FROM_1_KIB.brotli }],
  ['encryption', { keys: [K1] }],
  ['encryption and deflate', { keys: [K1], compression: NO_THRESHOLD.deflate }],
  ['encryption and brotli', { keys: [K1], compression: NO_THRESHOLD.brotli }],
  ['encryption and deflate from 1 KiB on', { keys: [K1], compression: FROM_1_KIB.deflate }],
  ['encryption that only reads', { keys: [K1], write: false, acceptPlaintext: true }],
  [
    'encryption that only reads, and brotli',
    { keys: [K1], write: false, acceptPlaintext: true, compression: NO_THRESHOLD.brotli },
  ],
  ['creation times', { dated: true }],
  ['creation times and brotli', { dated: true, compression: NO_THRESHOLD.brotli }],
  [
    'creation times, encryption and deflate from 1 KiB on',
    { dated: true, keys: [K1], compression: FROM_1_KIB.deflate },
  ],
]

const KIB_32 = 32 * 1024
const session = fc.record({
  data: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' })),
  filler: fc.oneof(
    fc.constant(0),
    fc.integer({ min: 10, max: 3_000 }),
    fc.integer({ min: KIB_32 - 300, max: KIB_32 + 300 }),
    fc.constantFrom(1_023, 1_024, 1_025, KIB_32 - 1, KIB_32, KIB_32 + 1, 100_000),
  ),
  noise: fc.boolean(),
})

describe.each(optionSets)('a codec with %s', (_name, settings) => {
  const codec = codecOf(settings)

  it('opens what it sealed, whatever the session holds and however large it is', async () => {
    await fc.assert(
      fc.asyncProperty(session, async ({ data, filler, noise }) => {
        const text = filler === 0 ? JSON.stringify(data) : JSON.stringify([jsonOf(filler, noise), data])
        const created = settings.dated ? CREATED : undefined
        const opened = { text, created, outdated: false }
        expect(await open(codec, await sealed(codec, text))).toEqual(opened)
      }),
      { numRuns: 60 },
    )
  })

  it.each([1_023, 1_024, 1_025, KIB_32 - 1, KIB_32, KIB_32 + 1, 200_000])(
    'opens what it sealed, of %d bytes',
    async bytes => {
      for (const noise of [false, true]) {
        const text = jsonOf(bytes, noise)
        expect(Buffer.byteLength(text)).toBe(bytes)
        expect((await open(codec, await sealed(codec, text))).text).toBe(text)
      }
    },
  )

  it('answers at once below 32 KiB, so that writes leave in the order in which they were issued', () => {
    for (const noise of [false, true]) {
      expect(codec.seal(jsonOf(KIB_32 - 1, noise), BINDING)).not.toBeInstanceOf(Promise)
    }
  })
})

describe('a codec without options', () => {
  it('writes the text itself, and asks for no binding', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), data => {
        const text = JSON.stringify(data)
        const asked = () => {
          throw new Error('of no use here')
        }
        expect(codecOf().seal(text, asked)).toBe(text)
      }),
    )
  })

  it('writes the text itself also where encryption only reads, and where nothing is large enough to be compressed', () => {
    const reading = codecOf({ keys: [K1], write: false, acceptPlaintext: true })
    expect(reading.seal('{"user":"ada"}', BINDING)).toBe('{"user":"ada"}')
    const compressing = codecOf({ compression: FROM_1_KIB.deflate })
    expect(compressing.seal(jsonOf(1_023), BINDING)).toBe(jsonOf(1_023))
    expect(compressing.seal(jsonOf(1_024), BINDING)).toBeInstanceOf(Buffer)
  })

  it('takes bytes that are not valid UTF-8 for text, as connect-redis does', async () => {
    const bytes = Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])
    expect(await read(codecOf(), bytes)).toEqual({ a: '\ufffd' })
  })
})

describe('what one option set writes', () => {
  const readable = optionSets.filter(([, { keys }]) => keys === undefined)

  it.each(readable)('(%s) every codec without encryption reads', async (_name, settings) => {
    for (const bytes of [20, 2_000, 50_000]) {
      const record = await sealed(codecOf(settings), jsonOf(bytes))
      for (const [, other] of readable) {
        expect((await open(codecOf(other), record)).text).toBe(jsonOf(bytes))
      }
    }
  })
})

// Written by version 1 of the format. What is changed in the code must not lock out what stands in Redis.
describe('a record of version 1', () => {
  const TEXT = JSON.stringify({
    user: 'ada',
    cart: ['a1', 'b2', 'a1', 'b2', 'a1', 'b2', 'a1', 'b2', 'a1', 'b2'],
  })
  const records: [name: string, base64: string, created?: number][] = [
    [
      'plain',
      'eyJ1c2VyIjoiYWRhIiwiY2FydCI6WyJhMSIsImIyIiwiYTEiLCJiMiIsImExIiwiYjIiLCJhMSIsImIyIiwiYTEiLCJiMiJdfQ==',
    ],
    ['deflated', '/gEBAAAASatWKi1OLVKyUkpMSVTSUUpOLCpRsopWSjRU0lFKMlLSIZIVWwsA'],
    ['brotlied', '/gECAAAASRtIAAAE/u2W+ssrE5eqEz6EMiSnJPEqlI7H3SsJNIUxlIeoyDF6wbQP'],
    [
      'encrypted',
      '/gEEAmsxLW4MP97CarI8X067M2gNXRokN0w+C51Kf3U+w4R0dfcTgRDjLhWDHxK5K22rVlOmsQyi3toi21if6acLtISVxaFQ9xOR6rMBDKyRP4JiuAk3YnOIGoaiqwowzAM/PJ8lHs1p4PY=',
    ],
    [
      'encrypted and deflated',
      '/gEFAAAASQJrMU57jMqxaqyFzOhvg4w4/RBc/zX6qoL2ts1mtvkhxL11wSEqpQ41qQ4Op1RGZkRmQ0E5H5dX2uAc7+onKVWlKLg/Sg==',
    ],
    [
      'encrypted and brotlied',
      '/gEGAAAASQJrMlayB1u/Z4WNON4DPC4J98mHGkFZF5aWkj0Y9x/AE5jjA3XGleCTcM2H0HhvvgkZo6fTqegy/u9rU3/UL+/JehCv9GI6Dw==',
    ],
    [
      'encrypted under a passphrase',
      '/gEEBnBocmFzZa3lc/JXUkyPUHWzDB1cP+JgNrrEoe97Ta7L998S01RXF8Wqy9uLMhhW5mffBUNafQpERBviYj0UmpTN+DOo2Z/PMnI6tf4pXA1uGO++liV2YNCT3sscT0S9tz4Jx9KRwDTv7o9/',
    ],
    [
      'plain with the time of its creation',
      '/gEIAaMYXFB7eyJ1c2VyIjoiYWRhIiwiY2FydCI6WyJhMSIsImIyIiwiYTEiLCJiMiIsImExIiwiYjIiLCJhMSIsImIyIiwiYTEiLCJiMiJdfQ==',
      CREATED,
    ],
    [
      'encrypted with the time of its creation',
      '/gEMAaMYXFB7AmsxhGGwIEftI/5VdsLCigb/oQqu7QmNlpslVbGyBcwVhbzlD6VOKdjin19fOUd4wG90BfZlWkU8jcsYSAPisqv3jCgErzrMDkBTO+N2iBPvVSZJ3GthNmmAQzuXpi9qCMGC8oN8zxg=',
      CREATED,
    ],
    [
      'deflated with the time of its creation',
      '/gEJAAAASQGjGFxQe6tWKi1OLVKyUkpMSVTSUUpOLCpRsopWSjRU0lFKMlLSIZIVWwsA',
      CREATED,
    ],
    [
      'encrypted and brotlied with the time of its creation',
      '/gEOAAAASQGjGFxQewJrMRz+A7KHBdzuhL6r40UbPept2nO0n4JKv4WS0RplAM/eXc/ERh7S27MYyXEAqvzCXXtoI1Ie3ENdCHrvVNSHHkJVrYY6mg==',
      CREATED,
    ],
  ]

  it.each(records)('(%s) opens', async (_name, base64, created) => {
    const codec = codecOf({
      keys: [K2, K1, { id: 'phrase', secret: 'a passphrase of many words' }],
      acceptPlaintext: true,
    })
    expect(await open(codec, Buffer.from(base64, 'base64'))).toMatchObject({ text: TEXT, created })
  })
})

describe('an encrypted record', () => {
  it.each([undefined, NO_THRESHOLD.deflate, NO_THRESHOLD.brotli])(
    'does not open under the name of another session (compression: %o)',
    async compression => {
      const codec = codecOf({ keys: [K1], acceptPlaintext: true, ...(compression && { compression }) })
      const record = await sealed(codec, jsonOf(200))
      expect(await read(codec, record)).toBeDefined()
      for (const binding of ['', 'sess:sha256:of-another', `${BINDING()} `, BINDING().slice(0, -1)]) {
        await expect(open(codec, record, () => binding)).rejects.toThrow(UnreadableError)
      }
    },
  )

  it('does not open under another key of the same id, nor under the same secret with another id', async () => {
    const record = await sealed(codecOf({ keys: [K1] }), '{"user":"ada"}')
    const other = codecOf({ keys: [{ id: 'k1', secret: Buffer.alloc(32, 9) }], acceptPlaintext: true })
    await expect(open(other, record)).rejects.toThrow(UnreadableError)
    const renamed = Buffer.from(record)
    renamed.write('k2', record.indexOf('k1'))
    const same = codecOf({ keys: [K1, { id: 'k2', secret: K1.secret }] })
    await expect(open(same, renamed)).rejects.toThrow(UnreadableError)
  })

  it('under a key that this node does not have is an error with the id of the key, and those that it has', async () => {
    const record = await sealed(codecOf({ keys: [{ id: 'of-2031.b_1', secret: randomBytes(32) }] }), '{}')
    for (const [settings, has] of [
      [{}, 'none'],
      [{ keys: [K1, K2] }, "'k1', 'k2'"],
      [{ keys: [K1], write: false, acceptPlaintext: true }, "'k1'"],
    ] as [CodecSettings, string][]) {
      const error = await open(codecOf(settings), record).catch((cause: unknown) => cause)
      expect(error).toBeInstanceOf(RecordError)
      expect(error).toMatchObject({
        code: 'ERR_UNKNOWN_KEY',
        outcomeUnknown: false,
        message: `The stored session is encrypted under the key 'of-2031.b_1', which is not in encryption.keys of this node; it has ${has}`,
      })
    }
  })

  it('does not put into an error what somebody has written in the place of an id', async () => {
    for (const id of ['\u001b[31mred', 'a\nb', '', '\u0000', 'x'.repeat(255).replace(/x$/, ' ')]) {
      const bytes = Buffer.concat([
        Buffer.from([0xfe, 1, 0b100, Buffer.byteLength(id)]),
        Buffer.from(id),
        randomBytes(60),
      ])
      const error = await open(codecOf({ keys: [K1] }), bytes).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
      expect((error as Error).message).toContain('with an unreadable id')
      if (id !== '') expect((error as Error).message).not.toContain(id)
    }
  })

  it('shows nothing of the session', async () => {
    const text = JSON.stringify({ user: 'ada-lovelace', words: 'nothing of this is to be seen' })
    for (const compression of [undefined, NO_THRESHOLD.deflate, NO_THRESHOLD.brotli]) {
      const record = await sealed(codecOf({ keys: [K1], ...(compression && { compression }) }), text)
      for (let start = 0; start + 4 <= text.length; start++) {
        expect(record.includes(text.slice(start, start + 4))).toBe(false)
      }
    }
  })
})

describe('a record that is not encrypted, where encryption is on', () => {
  const plain: [name: string, settings: CodecSettings][] = [
    ['plain JSON', {}],
    ['deflate', { compression: NO_THRESHOLD.deflate }],
    ['brotli', { compression: NO_THRESHOLD.brotli }],
  ]

  it.each(plain)('(%s) is refused, without a count', async (_name, settings) => {
    const stats = new Stats()
    const record = await sealed(codecOf(settings), jsonOf(300))
    const refused = open(codecOf({ keys: [K1], stats }), record)
    await expect(refused).rejects.toThrow(new UnreadableError('it is not encrypted'))
    expect(stats.plaintextReads).toBe(0)
  })

  it.each(plain)('(%s) is read and counted while acceptPlaintext says so', async (_name, settings) => {
    for (const write of [true, false]) {
      const stats = new Stats()
      const codec = codecOf({ keys: [K1], write, acceptPlaintext: true, stats })
      const record = await sealed(codecOf(settings), jsonOf(300))
      expect((await open(codec, record)).text).toBe(jsonOf(300))
      expect(stats.plaintextReads).toBe(1)
    }
  })

  it('is not counted where it is the encrypted one, nor where encryption is off', async () => {
    const stats = new Stats()
    const codec = codecOf({ keys: [K1], acceptPlaintext: true, stats })
    await open(codec, await sealed(codec, '{}'))
    await open(codecOf({ stats }), Buffer.from('{}'))
    expect(stats.plaintextReads).toBe(0)
  })
})

describe('a record in another form than this node writes', () => {
  const accepts = { acceptPlaintext: true }
  const forms: [name: string, writer: CodecSettings, reader: CodecSettings, outdated: boolean][] = [
    ['plain for plain', {}, {}, false],
    ['compressed for plain', { compression: NO_THRESHOLD.deflate }, {}, false],
    ['plain for compressed', {}, { compression: NO_THRESHOLD.deflate }, false],
    ['plain for encrypted', {}, { keys: [K1], ...accepts }, true],
    ['compressed for encrypted', { compression: NO_THRESHOLD.brotli }, { keys: [K1], ...accepts }, true],
    ['plain for reading keys', {}, { keys: [K1], write: false, ...accepts }, false],
    ['encrypted for reading keys', { keys: [K1] }, { keys: [K1], write: false, ...accepts }, true],
    ['under its first key', { keys: [K1] }, { keys: [K1, K2] }, false],
    ['under its second key', { keys: [K1] }, { keys: [K2, K1] }, true],
    [
      'compressed under its second key',
      { keys: [K1], compression: NO_THRESHOLD.deflate },
      { keys: [K2, K1] },
      true,
    ],
    ['with the time of its creation, which it tells', { dated: true }, { dated: true }, false],
    ['with the time of its creation, which it does not tell', {}, { dated: true }, true],
    ['without the time of its creation, which it tells', { dated: true }, {}, false],
  ]

  it.each(forms)('is to be written anew: %s', async (_name, writer, reader, outdated) => {
    const record = await sealed(codecOf(writer), jsonOf(300))
    const opened = await open(codecOf(reader), record)
    expect(opened.outdated).toBe(outdated)
  })
})

describe('the time of its creation', () => {
  const settings: [name: string, settings: CodecSettings][] = [
    ['plain', {}],
    ['compressed', { compression: NO_THRESHOLD.deflate }],
    ['encrypted', { keys: [K1] }],
    ['compressed and encrypted', { keys: [K1], compression: NO_THRESHOLD.brotli }],
  ]

  it.each(settings)('takes six bytes of a record (%s)', async (_name, setting) => {
    const without = await sealed(codecOf({ keys: [K1], ...setting }), jsonOf(300))
    const bytes = await sealed(codecOf({ keys: [K1], ...setting, dated: true }), jsonOf(300))
    expect(bytes.length - without.length).toBe(6)
    expect((bytes[2] as number) - (without[2] as number)).toBe(0b1000)
  })

  it.each(settings)('is read by nodes that do not write it (%s)', async (_name, setting) => {
    const reader = codecOf({ keys: [K1], acceptPlaintext: true })
    const record = await sealed(codecOf({ ...setting, dated: true }), jsonOf(300))
    expect(await open(reader, record)).toMatchObject({ text: jsonOf(300), created: CREATED })
  })

  it('is the only thing in front of the text where there is nothing else', async () => {
    const record = await sealed(codecOf({ dated: true }), '{"user":"ada"}')
    const expected = Buffer.from('fe010801a3185c507b7b2275736572223a22616461227d', 'hex')
    expect(record.equals(expected)).toBe(true)
  })

  it.each([0, 1, 1_800_000_000_000, 2 ** 48 - 1])('may be %d, and loses its fraction', async created => {
    for (const fraction of [0, 0.75]) {
      const record = await sealed(codecOf({ dated: true }), '{}', BINDING, created + fraction)
      expect(await open(codecOf(), record)).toMatchObject({ text: '{}', created })
    }
  })

  it('cannot be changed in a record that is encrypted', async () => {
    const codec = codecOf({ keys: [K1], dated: true })
    const record = await sealed(codec, '{"user":"ada"}')
    for (let at = 2; at < 9; at++) {
      const younger = Buffer.from(record)
      younger[at] = (younger[at] as number) ^ 1
      await expect(open(codec, younger)).rejects.toThrow()
    }
  })

  it('is not made up where a record is cut off', async () => {
    const record = await sealed(codecOf({ dated: true }), '{"user":"ada"}')
    for (let length = 1; length < 9; length++) {
      await expect(open(codecOf(), record.subarray(0, length))).rejects.toThrow(UnreadableError)
    }
  })
})

describe('what a record is known by', () => {
  it('is the SHA-1 of what stands in Redis, as Redis itself makes it', async () => {
    for (const settings of [{}, { dated: true }, { keys: [K1] }, { compression: NO_THRESHOLD.brotli }]) {
      const codec = codecOf({ ...settings, digested: true })
      const record = await sealed(codec, '{"ü":"ada"}')
      expect(codec.digestOf(record)).toBe(hash('sha1', record, 'hex'))
    }
    expect(codecOf({ digested: true }).digestOf('{"ü":1}')).toBe(hash('sha1', Buffer.from('{"ü":1}'), 'hex'))
  })

  it('is nothing where nobody asks, but for a record that is to be written anew', async () => {
    expect(codecOf().digestOf('{}')).toBe('')
    expect(codecOf().digestOf('{}', true)).toBe(hash('sha1', '{}', 'hex'))
  })
})

describe('a record of a version to come', () => {
  const bodies: [name: string, start: number[]][] = [
    ['a higher version', [0xfe, 2, 0b100]],
    ['the highest version', [0xfe, 255, 255]],
    ['a flag that is not known', [0xfe, 1, 0b10000]],
    ['another flag that is not known', [0xfe, 1, 0b101100]],
    ['all flags', [0xfe, 1, 255]],
    // The one number for a compression that is free.
    ['a compression that is not known', [0xfe, 1, 0b011]],
    ['a compression that is not known, encrypted', [0xfe, 1, 0b111]],
  ]

  it.each(bodies)('(%s) is an error that says so, not a session that is missing', async (_name, start) => {
    const record = Buffer.concat([
      Buffer.from(start),
      Buffer.alloc(4),
      Buffer.from([2]),
      Buffer.from('k1'),
      randomBytes(80),
    ])
    for (const codec of [
      codecOf(),
      codecOf({ keys: [K1] }),
      codecOf({ keys: [K1], acceptPlaintext: true }),
    ]) {
      const error = await open(codec, record).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ name: 'RecordError', code: 'ERR_NEWER_FORMAT' })
      expect((error as Error).message).toMatch(/newer format.*update this node/)
    }
  })
})

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { ClusteredRedisStore, OptionError, type StoreOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'

const SECRET = randomBytes(32)
const HEX = SECRET.toString('hex')
const BASE64 = SECRET.toString('base64')
const PHRASE = 'correct horse battery staple'

/** A client that never connects anywhere, and says nothing about it. */
function idle(): Redis {
  return new Redis({ lazyConnect: true, enableOfflineQueue: false, port: 1 }).on('error', () => {})
}

/** What the constructor says to these options. */
function complaint(options: object): string {
  let store: ClusteredRedisStore
  try {
    const redis = idle()
    store = new ClusteredRedisStore({ redis, ...options } as StoreOptions<never>)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    expect(error).toMatchObject({ name: 'OptionError', code: 'ERR_OPTION', outcomeUnknown: false })
    expect(error.message).not.toContain('\n')
    return error.message
  }
  atEndOfFile(() => store.shutdown())
  return ''
}

const BYTES = 'a whole number from 0 to 536870912'
const ALLOWED_SECRET =
  'a key of 32 bytes (a Buffer, 64 hex digits or base64) or a passphrase of at least 16 characters'
const ALLOWED_ID = 'up to 64 letters, digits, dots, dashes and underscores'

/** One key, `encryption.keys[0]`, with a good secret unless it is given. */
const key = (fields: object) => ({ encryption: { keys: [{ id: 'k1', secret: SECRET, ...fields }] } })

describe('an option that is out of range gives one sentence with its name, its value and what is allowed', () => {
  it.each<[option: string, options: object, value: string, allowed: string]>([
    ['compression', { compression: true }, 'true', 'false or { threshold, algorithm }'],
    ['compression', { compression: 'deflate' }, "'deflate'", 'false or { threshold, algorithm }'],
    ['compression', { compression: null }, 'null', 'false or { threshold, algorithm }'],
    ['compression', { compression: [] }, 'a list', 'false or { threshold, algorithm }'],
    ['compression.threshold', { compression: { threshold: -1 } }, '-1', BYTES],
    ['compression.threshold', { compression: { threshold: 0.5 } }, '0.5', BYTES],
    ['compression.threshold', { compression: { threshold: '1kb' } }, "'1kb'", BYTES],
    ['compression.threshold', { compression: { threshold: Number.NaN } }, 'NaN', BYTES],
    ['compression.threshold', { compression: { threshold: 1e12 } }, '1000000000000', BYTES],
    ['compression.algorithm', { compression: { algorithm: 'gzip' } }, "'gzip'", "'deflate' or 'brotli'"],
    ['compression.algorithm', { compression: { algorithm: 1 } }, '1', "'deflate' or 'brotli'"],
    [
      'compression.algorithm',
      { compression: { algorithm: 'toString' } },
      "'toString'",
      "'deflate' or 'brotli'",
    ],
    ['encryption', { encryption: true }, 'boolean', 'false or { keys, write, acceptPlaintext }'],
    ['encryption', { encryption: null }, 'null', 'false or { keys, write, acceptPlaintext }'],
    ['encryption', { encryption: [] }, 'a list', 'false or { keys, write, acceptPlaintext }'],
    ['encryption.keys', { encryption: {} }, 'undefined', 'a list of { id, secret } with at least one'],
    ['encryption.keys', { encryption: { keys: [] } }, 'a list', 'a list of { id, secret } with at least one'],
    [
      'encryption.keys',
      { encryption: { keys: { k1: HEX } } },
      'object',
      'a list of { id, secret } with at least one',
    ],
    ['encryption.keys[0]', { encryption: { keys: [HEX] } }, 'a string', '{ id, secret }'],
    ['encryption.keys[0]', { encryption: { keys: [null] } }, 'null', '{ id, secret }'],
    ['encryption.keys[0].id', key({ id: undefined }), 'undefined', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: '' }), 'a string of 0 characters', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: 7 }), 'number', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: 'of 2031' }), 'a string of 7 characters', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: 'ü' }), '', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: 'a\nb' }), '', ALLOWED_ID],
    ['encryption.keys[0].id', key({ id: 'x'.repeat(65) }), 'a string of 65 characters', ALLOWED_ID],
    ['encryption.keys[0].secret', key({ secret: undefined }), 'undefined', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: null }), 'null', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: 42 }), 'number', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: {} }), 'object', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: Promise.resolve(HEX) }), 'object', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: '' }), 'a passphrase of 0 characters', ALLOWED_SECRET],
    [
      'encryption.keys[0].secret',
      key({ secret: 'x'.repeat(15) }),
      'a passphrase of 15 characters',
      ALLOWED_SECRET,
    ],
    ['encryption.keys[0].secret', key({ secret: randomBytes(31) }), '31 bytes', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: randomBytes(33) }), '33 bytes', ALLOWED_SECRET],
    ['encryption.keys[0].secret', key({ secret: new Uint8Array() }), '0 bytes', ALLOWED_SECRET],
    [
      'encryption.keys[1].secret',
      {
        encryption: {
          keys: [
            { id: 'k1', secret: SECRET },
            { id: 'k2', secret: 'short' },
          ],
        },
      },
      'a passphrase of 5 characters',
      ALLOWED_SECRET,
    ],
    [
      'encryption.keys',
      {
        encryption: {
          keys: [
            { id: 'k1', secret: SECRET },
            { id: 'k1', secret: PHRASE },
          ],
        },
      },
      "the id 'k1' twice",
      'each id once',
    ],
    ['encryption.write', { encryption: { ...key({}).encryption, write: 'yes' } }, "'yes'", 'true or false'],
    [
      'encryption.acceptPlaintext',
      { encryption: { ...key({}).encryption, acceptPlaintext: 0 } },
      '0',
      'true or false',
    ],
    [
      'encryption.acceptPlaintext',
      { encryption: { ...key({}).encryption, write: false, acceptPlaintext: false } },
      'false while encryption.write is false',
      'true',
    ],
    ['hashIds', { hashIds: 'true' }, "'true'", "false, 'adopt' or true"],
    ['hashIds', { hashIds: 'sha256' }, "'sha256'", "false, 'adopt' or true"],
    ['hashIds', { hashIds: 1 }, '1', "false, 'adopt' or true"],
    ['hashIds', { hashIds: {} }, 'an object', "false, 'adopt' or true"],
  ])('%s: %j', (option, options, value, allowed) => {
    const message = complaint(options)
    expect(message.slice(0, option.length + 6)).toBe(`${option}: got `)
    expect(message).toContain(value)
    expect(message.split('allowed is ')[1]).toContain(allowed)
  })

  it.each([
    [{ serializer: { stringify: JSON.stringify } }, 'needs the methods stringify, parse; missing: parse'],
    [
      { serializer: { parse: JSON.parse, stringify: 'json' } },
      'needs the methods stringify, parse; missing: stringify',
    ],
    [{ serializer: 'superjson' }, 'needs the methods stringify, parse; missing: stringify, parse'],
    [{ serializer: null }, 'needs the methods stringify, parse; missing: stringify, parse'],
    [{ serializer: false }, 'needs the methods stringify, parse; missing: stringify, parse'],
  ])('serializer: %j', (options, wanted) => {
    expect(complaint(options)).toBe(`serializer: ${wanted}`)
  })
})

describe('an option that does not exist', () => {
  it.each<[options: object, message: string]>([
    [
      { compression: { treshold: 5 } },
      'compression.treshold: there is no such option; did you mean compression.threshold?',
    ],
    [
      { compression: { level: 5 } },
      'compression.level: there is no such option; there are threshold, algorithm',
    ],
    [
      { encryption: { key: SECRET } },
      'encryption.key: there is no such option; did you mean encryption.keys?',
    ],
    [
      { encryption: { secret: PHRASE } },
      'encryption.secret: there is no such option; did you mean encryption: { keys: [{ id, secret }] }?',
    ],
    [
      { encryption: { ...key({}).encryption, accept_plaintext: true } },
      'encryption.accept_plaintext: there is no such option; did you mean encryption.acceptPlaintext?',
    ],
    [
      key({ secrt: PHRASE }),
      'encryption.keys[0].secrt: there is no such option; did you mean encryption.keys[0].secret?',
    ],
    [key({ key: SECRET }), 'encryption.keys[0].key: there is no such option; there are id, secret'],
    [{ breaker: { timeout: 3 } }, 'breaker.timeout: there is no such option; there are failures, openFor'],
    [{ hashId: true }, 'hashId: there is no such option; did you mean hashIds?'],
    [{ serialiser: JSON }, 'serialiser: there is no such option; did you mean serializer?'],
    [{ compressData: true }, 'compressData: there is no such option; did you mean compression?'],
    [{ encryptRedisData: true }, 'encryptRedisData: there is no such option; did you mean encryption?'],
  ])('%j is refused', (options, message) => {
    expect(complaint(options)).toBe(message)
  })
})

describe('a secret that was meant to be a key', () => {
  // It would pass for a passphrase, and be another one on a node that has it right.
  it.each([
    ['with the line end of its file', `${HEX}\n`, 'begins or ends with white space'],
    ['with a blank in front', ` ${BASE64}`, 'begins or ends with white space'],
    ['with a digit too few', HEX.slice(1), 'got 63 hex digits'],
    ['of half the length', HEX.slice(32), 'got 32 hex digits'],
    ['written as a number', `0x${HEX}`, 'got 66 hex digits'],
  ])('%s is refused', (_what, secret, complaintPart) => {
    const message = complaint(key({ secret }))
    expect(message).toContain(complaintPart)
    expect(message).not.toContain(secret.trim().slice(0, 8))
  })

  it('and stands in hashIds is not quoted', () => {
    const message = complaint({ hashIds: HEX })
    expect(message).toBe("hashIds: got '(64 characters)', allowed is false, 'adopt' or true")
  })
})

describe('a secret', () => {
  const misplaced: [what: string, options: (secret: string) => object][] = [
    ['as the option itself', secret => ({ encryption: secret })],
    ['as keys', secret => ({ encryption: { keys: secret } })],
    ['as a key', secret => ({ encryption: { keys: [secret] } })],
    ['as a key among others', secret => ({ encryption: { keys: [{ id: 'k1', secret: SECRET }, secret] } })],
    ['as an id', secret => ({ encryption: { keys: [{ id: secret, secret: 'k1' }] } })],
    ['as the name of a key', secret => ({ encryption: { keys: { [secret]: 'k1' } } })],
    ['beside the keys', secret => ({ encryption: { ...key({}).encryption, secret } })],
    ['under another name', secret => key({ passphrase: secret })],
    ['in a list', secret => key({ secret: [secret] })],
    ['in an object', secret => key({ secret: { secret } })],
    ['with an end of line', secret => key({ secret: `${secret}\n`.slice(0, 10) })],
  ]
  const secrets = [HEX, BASE64, PHRASE, `${HEX}00`, `${PHRASE}+/=`]

  it.each(misplaced)('(%s) stands in no message', (_what, optionsOf) => {
    for (const secret of secrets) {
      const message = complaint(optionsOf(secret))
      expect(message).not.toBe('')
      for (const piece of [secret.slice(0, 8), secret.slice(-8)]) expect(message).not.toContain(piece)
    }
  })

  // An id stands in front of every record, for all to see. Whoever confuses the two must not be let through.
  it.each([HEX, BASE64.replace('=', ''), SECRET.toString('base64url')])(
    'in the place of the id is refused, whatever is in its own place',
    secret => {
      const message = complaint({ encryption: { keys: [{ id: secret, secret: 'production-key-2031' }] } })
      expect(message).toMatch(/^encryption\.keys\[0\]\.id: got /)
      expect(message).not.toContain(secret.slice(0, 8))
    },
  )

  it('as bytes stands in no message', () => {
    for (const options of [
      { encryption: SECRET },
      { encryption: { keys: SECRET } },
      { encryption: { keys: [SECRET] } },
      key({ id: SECRET }),
    ]) {
      const message = complaint(options)
      expect(message).not.toBe('')
      for (const written of [HEX, BASE64, [...SECRET].join(','), SECRET.toString()]) {
        expect(message).not.toContain(written.slice(0, 12))
      }
    }
  })

  it('is not seen on a store that is printed', () => {
    const redis = idle()
    const store = new ClusteredRedisStore({
      redis,
      encryption: {
        keys: [
          { id: 'k1', secret: HEX },
          { id: 'k2', secret: SECRET },
          { id: 'k3', secret: PHRASE },
        ],
      },
    })
    atEndOfFile(() => store.shutdown())
    const printed = inspect(store, {
      depth: 20,
      showHidden: true,
      maxStringLength: null,
      maxArrayLength: null,
    })
    for (const written of [HEX, BASE64, PHRASE, [...SECRET].slice(0, 6).join(', '), HEX.slice(0, 20)]) {
      expect(printed.includes(written)).toBe(false)
    }
  })
})

describe('options that are right', () => {
  it.each<[what: string, options: object]>([
    ['compression: {}', { compression: {} }],
    ['compression from the first byte on', { compression: { threshold: 0, algorithm: 'brotli' } }],
    ['compression: false', { compression: false, encryption: false, hashIds: false }],
    [
      'undefined',
      { compression: undefined, encryption: undefined, hashIds: undefined, serializer: undefined },
    ],
    ['an undefined part', { compression: { threshold: undefined, algorithm: undefined } }],
    ['a key as bytes', key({})],
    ['a key as hex', key({ secret: HEX })],
    ['a key as base64', key({ secret: BASE64 })],
    ['a passphrase', key({ secret: PHRASE })],
    ['the shortest passphrase', key({ secret: 'x'.repeat(16) })],
    ['the longest id', key({ id: 'x'.repeat(64) })],
    ['an id of all characters', key({ id: 'aZ09._-' })],
    ['keys to read', { encryption: { ...key({}).encryption, write: false } }],
    [
      'keys to read, and plaintext',
      { encryption: { ...key({}).encryption, write: false, acceptPlaintext: true } },
    ],
    ['hashIds: adopt', { hashIds: 'adopt' }],
    ['hashIds: true', { hashIds: true }],
    ['serializer: JSON', { serializer: JSON }],
  ])('are taken: %s', (_what, options) => {
    expect(complaint(options)).toBe('')
  })

  it('may be changed afterwards without a consequence', async () => {
    const secret = Buffer.from(SECRET)
    const keys = [{ id: 'k1', secret }]
    expect(
      complaint({
        encryption: Object.freeze({ keys: Object.freeze(keys.map(each => Object.freeze(each))) }),
      }),
    ).toBe('')
    expect(secret.equals(SECRET)).toBe(true)
  })
})

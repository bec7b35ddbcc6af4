import fc from 'fast-check'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, OptionError, type StoreOptions } from '../../src/index.js'
import { oddText, oddValue } from './odd-values.js'
import { runs } from './runs.js'

const KEY = { id: 'k1', secret: '4f'.repeat(32) }

let idle: Redis

beforeAll(() => {
  idle = new Redis({ lazyConnect: true, enableOfflineQueue: false, port: 1 })
  // Every store that it gives rise to listens to it for a moment.
  idle.setMaxListeners(0)
  return () => idle.disconnect()
})

/** What the constructor says to these options; empty if it takes them. */
function complaint(options: object): string {
  try {
    const store = new ClusteredRedisStore({ redis: idle, ...options } as StoreOptions<never>)
    void store.shutdown()
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError)
    expect(error).toMatchObject({ code: 'ERR_OPTION', outcomeUnknown: false })
    return (error as OptionError).message
  }
}

/** The options there are, as the store itself names them: so a new one is among them. */
function known(group = ''): string[] {
  const odd = { 'no such thing': 1 }
  return (/there are ([\w, ]+)$/.exec(complaint(group === '' ? odd : { [group]: odd }))?.[1] ?? '').split(
    ', ',
  )
}

/** What else a group needs, so that nothing but the one option is wrong. */
const besides: Record<string, object> = {
  maxSessions: { by: 'user', max: 1 },
  encryption: { keys: [KEY] },
}
const indexes = { user: () => 'ada' }

interface Option {
  /** As messages call it. */
  readonly name: string
  with(value: unknown): object
}

function everyOption(): Option[] {
  const options: Option[] = [
    { name: 'encryption.keys[0]', with: key => ({ encryption: { keys: [key] } }) },
    { name: 'encryption.keys[0].id', with: id => ({ encryption: { keys: [{ ...KEY, id }] } }) },
    { name: 'encryption.keys[0].secret', with: secret => ({ encryption: { keys: [{ ...KEY, secret }] } }) },
    { name: 'indexes.user', with: user => ({ indexes: { user } }) },
  ]
  for (const name of known()) {
    options.push({ name, with: value => ({ indexes, [name]: value }) })
    if (!complaint({ [name]: { 'no such thing': 1 } }).startsWith(`${name}.no such thing: `)) continue
    for (const inner of known(name)) {
      options.push({
        name: `${name}.${inner}`,
        with: value => ({ indexes, [name]: { ...besides[name], [inner]: value } }),
      })
    }
  }
  return options
}

/** One sentence that names the option, what was given, and what is allowed. */
function expectReadable(message: string, { name }: Option, value: unknown): void {
  expect(message.startsWith(`${name}: `), message).toBe(true)
  expect(message).not.toMatch(/[\n\0]/)
  expect(message.length).toBeLessThan(500)
  const [, got = '', allowed = ''] = /: got (.*?), allowed.* (?:is|are) (.+)$/s.exec(message) ?? []
  if (got === '') {
    // These have no value that a sentence could show.
    expect(message).toMatch(/needs the methods|this is no ioredis client|looks like seconds/)
    return
  }
  expect(allowed).not.toBe('')
  if (name.startsWith('encryption')) return
  // Parts of milliseconds are rounded up.
  if (typeof value === 'number') expect([`${value}`, `${Math.ceil(value)}`]).toContain(String(Number(got)))
  if (typeof value === 'bigint') expect(got).toBe(`${value}n`)
  if (value === null || typeof value === 'boolean' || value === undefined) expect(got).toBe(String(value))
}

describe('every option', () => {
  it('is found by asking the store, those in groups too', () => {
    const names = everyOption().map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['redis', 'prefix', 'ttl', 'cache.ttl', 'encryption.write', 'clock']),
    )
    expect(names.length).toBeGreaterThan(45)
  })

  it('is refused for what no option can be, in one readable sentence', () => {
    const never = [null, Number.NaN, Number.POSITIVE_INFINITY, -1, 1n, Symbol('odd'), [], [null]]
    for (const option of everyOption()) {
      for (const value of never) {
        const message = complaint(option.with(value))
        expect(message, `${option.name}: ${String(value)}`).not.toBe('')
        if (option.name === 'encryption.keys' && Array.isArray(value) && value.length > 0) {
          expectReadable(message, { ...option, name: 'encryption.keys[0]' }, value)
        } else expectReadable(message, option, value)
      }
    }
  })

  it('is taken or refused in one readable sentence, whatever it is', () => {
    const options = everyOption()
    const strange = fc.oneof(
      oddValue,
      oddText(2_000),
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
      fc.constantFrom<unknown>(
        function ofMany() {
          // Lines that belong in no message.
          return 1
        },
        Object.assign(() => {}, { toString: 5 }),
        class {
          field = 1
        },
        'x'.repeat(100_000),
        'line\nbreak',
      ),
    )
    fc.assert(
      fc.property(fc.constantFrom(...options), strange, (option, value) => {
        const message = complaint(option.with(value))
        if (message === '') return
        // A group, a list or an object may be wrong in one of its parts.
        const isWhole = message.startsWith(`${option.name}: `)
        if (isWhole) expectReadable(message, option, value)
        else {
          expect(message.startsWith(option.name)).toBe(true)
          expect(typeof value).toBe('object')
        }
      }),
      runs(700),
    )
  })

  it('under another name is refused, whatever the name', () => {
    const names = new Set(everyOption().map(({ name }) => name))
    fc.assert(
      fc.property(fc.oneof(oddText(), fc.string(), fc.constantFrom('__proto__', 'constructor')), name => {
        fc.pre(!names.has(name))
        for (const group of ['', 'cache', 'cluster', 'retry', 'encryption']) {
          const given = JSON.parse(`{${JSON.stringify(name)}:1}`) as object
          const message = complaint(group === '' ? given : { [group]: given })
          if (names.has(`${group}.${name}`)) continue
          expect(message.startsWith(group === '' ? `${name}: ` : `${group}.${name}: `)).toBe(true)
        }
      }),
      runs(150),
    )
  })
})

describe('a secret', () => {
  const hex = fc.uint8Array({ minLength: 31, maxLength: 33 }).map(bytes => Buffer.from(bytes).toString('hex'))
  const base64 = fc
    .uint8Array({ minLength: 31, maxLength: 33 })
    .map(bytes => Buffer.from(bytes).toString('base64'))
  const phrase = fc.string({ unit: fc.constantFrom(...'abcxyz019 -!'), minLength: 16, maxLength: 60 })

  it('stands in no message, in whichever place of `encryption` or `hashIds` it was put', () => {
    const places: ((secret: unknown) => object)[] = [
      ...everyOption()
        .filter(
          ({ name }) =>
            /^(encryption|hashIds|compression$|waitForReplicas$|cache$|cluster$|retry$|breaker$)/.test(
              name,
            ) && !name.endsWith('.secret'),
        )
        .map(option => (secret: unknown) => option.with(secret)),
      secret => ({ encryption: { keys: [{ ...KEY, secret: ` ${secret}` }] } }),
      secret => ({ encryption: { keys: [{ ...KEY, secret: String(secret).slice(0, 15) }] } }),
      secret => ({ encryption: { keys: [[secret]] } }),
      secret => ({ encryption: { keys: [secret, KEY] } }),
      secret => ({ encryption: { keys: [{ ...KEY, secret: [secret] }] } }),
      secret => ({ encryption: { keys: [{ ...KEY, secret: { secret } }] } }),
      secret => ({ encryption: { keys: [KEY], acceptPlaintext: [secret] } }),
      secret => ({ encryption: { keys: { secret } } }),
    ]
    const shapes = fc.constantFrom<(secret: string) => unknown>(
      secret => secret,
      secret => ` ${secret}\n`,
      secret => secret.slice(0, 20),
      secret => Buffer.from(secret),
      secret => [secret],
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        fc.oneof(hex, base64, phrase),
        shapes,
        (place, secret, shape) => {
          const message = complaint(place(shape(secret)))
          for (let start = 0; start + 8 <= secret.length; start += 4) {
            const part = secret.slice(start, start + 8)
            if (part.trim().length === 8) expect(message).not.toContain(part)
          }
        },
      ),
      runs(150, [
        [
          (secret: string) => ({ encryption: { keys: [KEY], write: secret } }),
          'correct-horse-battery-staple',
          String,
        ],
      ]),
    )
  })

  it('stands in no message about a URL', () => {
    const password = fc.string({ unit: fc.constantFrom(...'abcxyz019:@/?#%!'), minLength: 1, maxLength: 12 })
    const scheme = fc.constantFrom('redis:/', 'http://', 'redis//', 'REDIS ://', '', '://', 'tcp://')
    fc.assert(
      fc.property(scheme, password, (scheme, rest) => {
        const message = complaint({ redis: `${scheme}user:hunter2${rest}@127.0.0.1:6379` })
        expect(message).toMatch(/^redis: got /)
        expect(message).not.toContain('hunter2')
      }),
      runs(200),
    )
  })
})

import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { UnreadableError } from '../../src/base/errors.js'
import { type EncryptionKey, KeyRing } from '../../src/codec/key-ring.js'
import { BINDING, codecOf, K1, K2, read, sealed } from './codecs.js'

const NONCE = 12
const HEADER = Buffer.from('header')
const bytes = createHash('sha256').update('a key of the tests').digest()

const forms: [name: string, secret: string | Uint8Array][] = [
  ['a Buffer', bytes],
  ['a Uint8Array', new Uint8Array(bytes)],
  ['hex', bytes.toString('hex')],
  ['hex in capitals', bytes.toString('hex').toUpperCase()],
  ['base64', bytes.toString('base64')],
  ['base64 without padding', bytes.toString('base64').replace('=', '')],
  ['base64url', bytes.toString('base64url')],
]

describe('a key', () => {
  it.each(forms)('as %s opens what it wrote in every other form', async (_name, secret) => {
    const record = await sealed(codecOf({ keys: [{ id: 'k1', secret }] }), '{"user":"ada"}')
    for (const [, other] of forms) {
      expect(await read(codecOf({ keys: [K2, { id: 'k1', secret: other }] }), record)).toEqual({
        user: 'ada',
      })
    }
  })

  it('of other bytes does not, however little they differ', async () => {
    const record = await sealed(codecOf({ keys: [{ id: 'k1', secret: bytes }] }), '{"user":"ada"}')
    for (let bit = 0; bit < 256; bit++) {
      const other = Buffer.from(bytes)
      other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7))
      await expect(read(codecOf({ keys: [{ id: 'k1', secret: other }] }), record)).rejects.toThrow(
        UnreadableError,
      )
    }
  })

  it('is not used as it is (guards: HKDF): a record does not open with the bytes of the secret', async () => {
    const { createDecipheriv } = await import('node:crypto')
    const record = await sealed(codecOf({ keys: [K1] }), '{"user":"ada"}')
    const header = 3 + 1 + 2
    const decipher = createDecipheriv(
      'aes-256-gcm',
      K1.secret as Buffer,
      record.subarray(header, header + NONCE),
    )
    decipher.setAAD(Buffer.concat([record.subarray(0, header), Buffer.from(BINDING())]))
    decipher.setAuthTag(record.subarray(-16))
    decipher.update(record.subarray(header + NONCE, -16))
    expect(() => decipher.final()).toThrow()
  })
})

describe('a passphrase', () => {
  const phrase: EncryptionKey = { id: 'k1', secret: 'correct horse battery staple' }

  it('opens what it wrote, on another node as well, and no other does', async () => {
    const record = await sealed(codecOf({ keys: [phrase] }), '{"user":"ada"}')
    expect(await read(codecOf({ keys: [{ ...phrase }] }), record)).toEqual({ user: 'ada' })
    const other = codecOf({ keys: [{ id: 'k1', secret: 'correct horse battery stapler' }] })
    await expect(read(other, record)).rejects.toThrow(UnreadableError)
  })

  it('makes another key under another id, so that two deployments with one passphrase share none', async () => {
    const record = await sealed(codecOf({ keys: [phrase] }), '{"user":"ada"}')
    record.write('k2', record.indexOf('k1'))
    const other = codecOf({ keys: [{ ...phrase, id: 'k2' }] })
    await expect(read(other, record)).rejects.toThrow(UnreadableError)
  })

  it('is made a key of once, and not for every record', async () => {
    const codec = codecOf({ keys: [phrase] })
    const started = process.cpuUsage()
    for (let count = 0; count < 200; count++) await read(codec, await sealed(codec, '{}'))
    const { user, system } = process.cpuUsage(started)
    // Two hundred of them would take half a minute.
    expect((user + system) / 1000).toBeLessThan(5_000)
  })
})

describe('a key ring', () => {
  it('writes under its first key and reads under all', () => {
    const [both, first, second] = [new KeyRing([K1, K2]), new KeyRing([K1]), new KeyRing([K2])]
    expect(both.writes).toBe('k1')
    const payload = Buffer.from('payload')
    for (const ring of [first, second]) {
      const body = ring.encrypt(payload, HEADER, 'binding')
      expect(both.decrypt(ring.writes, body, HEADER, 'binding')).toEqual(payload)
    }
    const body = both.encrypt(payload, HEADER, 'binding')
    expect(first.decrypt('k1', body, HEADER, 'binding')).toEqual(payload)
    expect(() => second.decrypt('k1', body, HEADER, 'binding')).toThrow(/'k1'.*it has 'k2'/)
  })

  it('opens nothing with another header or binding (guards: the additional data)', () => {
    const ring = new KeyRing([K1])
    const body = ring.encrypt(Buffer.from('payload'), HEADER, 'binding')
    expect(() => ring.decrypt('k1', body, Buffer.from('headeR'), 'binding')).toThrow(UnreadableError)
    expect(() => ring.decrypt('k1', body, HEADER, 'Binding')).toThrow(UnreadableError)
  })

  it('takes another nonce for every record (guards: a nonce that repeats gives the key away)', () => {
    const ring = new KeyRing([K1])
    const nonces = new Set<string>()
    const bodies = new Set<string>()
    for (let count = 0; count < 5_000; count++) {
      const body = ring.encrypt(Buffer.from('the same'), HEADER, 'binding')
      nonces.add(body.subarray(0, NONCE).toString('hex'))
      bodies.add(body.subarray(NONCE).toString('hex'))
    }
    expect(nonces.size).toBe(5_000)
    expect(bodies.size).toBe(5_000)
    // All of it is random, not only a counter in a part of it.
    const ends = [...nonces]
    for (const place of [0, 6, 12, 18]) {
      expect(new Set(ends.map(nonce => nonce.slice(place, place + 6))).size).toBeGreaterThan(4_900)
    }
  })

  it('refuses a tag that is shorter than sixteen bytes (guards: authTagLength)', () => {
    const ring = new KeyRing([K1])
    for (let length = 0; length < 12 + 16; length++) {
      expect(() => ring.decrypt('k1', randomBytes(length), HEADER, 'binding')).toThrow(UnreadableError)
    }
  })
})

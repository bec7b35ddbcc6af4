// @ts-check
// What do compression and encryption cost? Saving and reading a session with each, beside the bare work of Node's own
// functions, in turns within one run.
//
//   npm run bench:codec
//   npm run bench:codec -- --deflate     compares the settings of deflate instead

import { createCipheriv, createDecipheriv, createSecretKey, hash, randomBytes } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Codec } from '../dist/codec/codec.js'
import { Compression } from '../dist/codec/compression.js'
import { KeyRing } from '../dist/codec/key-ring.js'
import { jsonSerializer } from '../dist/codec/serializer.js'
import { Stats } from '../dist/observe/stats.js'
import { variedSessionOf } from './measuring/varied-session.js'
import { startRedis } from './servers/redis.js'

const SIZES = [512, 4 * 1024, 32 * 1024]
const ROUNDS = 21
const MAX_BYTES = 16 * 1024 * 1024
const ID = 'Sx7QfVb2mK9tLw4RzN8cYd3HjG6pAe1U'
const COMPRESSION = { threshold: 0, algorithm: /** @type {const} */ ('deflate') }
const KEYS = [{ id: 'k1', secret: randomBytes(32) }]
const DEFLATE = { level: 1 }

/** @type {unknown} */
let sink

/** @param {(typeof variants)[number]} variant */
function codecOf({ compressed, encrypted }) {
  return new Codec({
    compression: compressed ? new Compression(COMPRESSION) : undefined,
    encryption: encrypted ? { keys: new KeyRing(KEYS), write: true, acceptPlaintext: false } : undefined,
    dated: false,
    digested: false,
    maxSessionBytes: MAX_BYTES,
    stats: new Stats(),
  })
}

const variants = [
  { name: 'plain', compressed: false, encrypted: false },
  { name: 'compressed', compressed: true, encrypted: false },
  { name: 'encrypted', compressed: false, encrypted: true },
  { name: 'both', compressed: true, encrypted: true },
]

// The bare work, as one would write it without a store.
const key = createSecretKey(randomBytes(32))
const binding = () => `sess:sha256:${hash('sha256', ID, 'hex')}`

/** @param {Buffer} bytes */
function encrypt(bytes) {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  cipher.setAAD(Buffer.from(binding()))
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

/** @param {Buffer} bytes */
function decrypt(bytes) {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(binding()))
  decipher.setAuthTag(bytes.subarray(-16))
  return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
}

/** @param {object} session @param {(typeof variants)[number]} variant */
function bareSave(session, { compressed, encrypted }) {
  const text = JSON.stringify(session)
  if (!compressed && !encrypted) return text
  const bytes = Buffer.from(text)
  const smaller = compressed ? deflateRawSync(bytes, DEFLATE) : bytes
  return encrypted ? encrypt(smaller) : smaller
}

/** @param {Buffer} record @param {(typeof variants)[number]} variant */
function bareMiss(record, { compressed, encrypted }) {
  const opened = encrypted ? decrypt(record) : record
  return JSON.parse((compressed ? inflateRawSync(opened) : opened).toString())
}

/**
 * Microseconds per call. An answer that is a promise is waited for.
 * @param {() => unknown} call
 * @param {number} calls
 */
async function time(call, calls) {
  const before = performance.now()
  for (let i = 0; i < calls; i++) {
    sink = call()
    if (sink instanceof Promise) sink = await sink
  }
  return ((performance.now() - before) / calls) * 1000
}

/** @param {number[]} values */
function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

/**
 * In turns, so that a disturbance meets all of them; the median of the rounds.
 * @param {Record<string, () => unknown>} contestants
 * @param {{ millisecondsEach: number, rounds?: number }} effort
 * @returns {Promise<Record<string, number[]>>}
 */
async function compare(contestants, { millisecondsEach, rounds = ROUNDS }) {
  const entries = Object.entries(contestants)
  /** @type {Record<string, number>} */
  const calls = {}
  for (const [name, call] of entries) {
    await time(call, 50)
    const once = await time(call, 50)
    calls[name] = Math.max(10, Math.round((millisecondsEach * 1000) / once))
  }
  /** @type {Record<string, number[]>} */
  const results = Object.fromEntries(entries.map(([name]) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, call] of entries) results[name]?.push(await time(call, calls[name] ?? 10))
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return results
}

/** @param {Record<string, number[]>} results @param {string} name */
function cost(results, name) {
  return median(results[name] ?? [])
}

/** The median of the ratios, round by round. @param {Record<string, number[]>} results @param {string} one @param {string} other */
function ratio(results, one, other) {
  return median((results[one] ?? []).map((value, round) => value / (results[other]?.[round] ?? Number.NaN)))
}

/** @param {(string | number)[]} cells */
function row(...cells) {
  console.log(
    cells.map((cell, index) => (index === 0 ? `${cell}`.padEnd(24) : `${cell}`.padStart(13))).join(''),
  )
}

/** @param {number} microseconds */
function us(microseconds) {
  return `${microseconds.toFixed(microseconds < 10 ? 2 : 1)} us`
}

async function primitives() {
  console.log('\nThe work itself')
  row('', ...SIZES.map(size => `${size / 1024} KiB`))
  /** @type {Record<string, string[]>} */
  const table = {}
  for (const size of SIZES) {
    const session = variedSessionOf(size)
    const text = JSON.stringify(session)
    const bytes = Buffer.from(text)
    const deflated = deflateRawSync(bytes, DEFLATE)
    const encrypted = encrypt(bytes)
    const results = await compare(
      {
        'JSON.stringify': () => JSON.stringify(session),
        'JSON.parse': () => JSON.parse(text),
        deflateRawSync: () => deflateRawSync(bytes, DEFLATE),
        inflateRawSync: () => inflateRawSync(deflated),
        'AES-256-GCM, encrypt': () => encrypt(bytes),
        'AES-256-GCM, decrypt': () => decrypt(encrypted),
        'SHA-256 of an id': () => hash('sha256', ID, 'hex'),
        'SHA-1 of the record': () => hash('sha1', bytes, 'hex'),
      },
      { millisecondsEach: 8 },
    )
    for (const name of Object.keys(results)) {
      table[name] ??= []
      table[name].push(us(cost(results, name)))
    }
    table['size when deflated'] ??= []
    table['size when deflated'].push((deflated.length / bytes.length).toFixed(2))
  }
  for (const [name, cells] of Object.entries(table)) row(name, ...cells)
}

async function codecs() {
  for (const size of SIZES) {
    const session = variedSessionOf(size)
    const text = JSON.stringify(session)
    /** @type {Record<string, () => unknown>} */
    const contestants = {}
    for (const variant of variants) {
      const codec = codecOf(variant)
      const record = await codec.seal(text, binding)
      const sealed = typeof record === 'string' ? Buffer.from(record) : record
      const bare = bareSave(session, variant)
      const bareRecord = typeof bare === 'string' ? Buffer.from(bare) : bare
      contestants[`save ${variant.name}`] = () => codec.seal(jsonSerializer.stringify(session), binding)
      contestants[`bare save ${variant.name}`] = () => bareSave(session, variant)
      contestants[`miss ${variant.name}`] = async () =>
        jsonSerializer.parse((await codec.open(sealed, binding)).text)
      contestants[`bare miss ${variant.name}`] = async () => bareMiss(bareRecord, variant)
    }
    const results = await compare(contestants, { millisecondsEach: 8 })
    console.log(`\nA session of ${Buffer.byteLength(text)} bytes, without Redis`)
    row('', 'save', 'bare', 'ratio', 'miss', 'bare', 'ratio')
    for (const { name } of variants) {
      const cells = ['save', 'miss'].flatMap(what => [
        us(cost(results, `${what} ${name}`)),
        us(cost(results, `bare ${what} ${name}`)),
        ratio(results, `${what} ${name}`, `bare ${what} ${name}`).toFixed(2),
      ])
      row(name, ...cells)
    }
  }
  console.log('\nAt 32 KiB compression leaves the event loop: that costs time, and blocks nothing meanwhile.')
}

async function throughRedis() {
  const redis = await startRedis()
  const stores = variants.map(({ name, compressed, encrypted }) => ({
    name,
    store: new ClusteredRedisStore({
      redis: redis.url,
      prefix: `${name}:`,
      cache: false,
      cluster: false,
      deadline: 10_000,
      compression: compressed && COMPRESSION,
      encryption: encrypted && { keys: KEYS },
    }),
  }))
  try {
    for (const size of SIZES) {
      const session = /** @type {never} */ (variedSessionOf(size))
      /** @type {Record<string, () => unknown>} */
      const contestants = {}
      for (const { name, store } of stores) {
        await store.set(ID, session)
        contestants[`save ${name}`] = () => store.set(ID, session)
        contestants[`miss ${name}`] = () => store.get(ID)
      }
      const results = await compare(contestants, { millisecondsEach: 25 })
      console.log(`\nA session of ${size} bytes, with a Redis on the same machine, one after the other`)
      row('', 'save', 'to plain', 'miss', 'to plain')
      for (const { name } of stores) {
        const cells = ['save', 'miss'].flatMap(what => [
          us(cost(results, `${what} ${name}`)),
          ratio(results, `${what} ${name}`, `${what} plain`).toFixed(2),
        ])
        row(name, ...cells)
      }
    }
  } finally {
    for (const { store } of stores) await store.shutdown()
    await redis.stop()
  }
}

async function deflateSettings() {
  const memories = ['15/8', '15/9', '14/8', '13/8', '13/7', '13/6', '12/6', '12/5', '11/5']
  const settings = [1, 2, 3, 6].flatMap(level =>
    memories.map(memory => {
      const [windowBits = 15, memLevel = 8] = memory.split('/').map(Number)
      return { level, windowBits, memLevel }
    }),
  )
  const shown = (/** @type {object} */ setting) => Object.values(setting).join('/')
  for (const size of SIZES) {
    const bytes = Buffer.from(JSON.stringify(variedSessionOf(size)))
    const contestants = Object.fromEntries(
      settings.flatMap(setting => {
        const deflated = deflateRawSync(bytes, setting)
        return [
          [`deflate ${shown(setting)}`, () => deflateRawSync(bytes, setting)],
          [`inflate ${shown(setting)}`, () => inflateRawSync(deflated)],
        ]
      }),
    )
    const results = await compare(contestants, { millisecondsEach: 2, rounds: 15 })
    console.log(`\n${bytes.length} bytes`)
    row('level/window/memory', 'deflate', 'to 1/15/8', 'inflate', 'size')
    for (const setting of settings) {
      const name = shown(setting)
      row(
        name,
        us(cost(results, `deflate ${name}`)),
        ratio(results, `deflate ${name}`, 'deflate 1/15/8').toFixed(2),
        us(cost(results, `inflate ${name}`)),
        (deflateRawSync(bytes, setting).length / bytes.length).toFixed(3),
      )
    }
  }
}

if (process.argv.includes('--deflate')) {
  await deflateSettings()
} else {
  await primitives()
  await codecs()
  await throughRedis()
}
if (sink === undefined) process.exitCode = 1

// Run as a process of its own: what a callback throws ends the process that nobody saves.
import { once } from 'node:events'
import { Redis } from 'ioredis'

const [storeUrl = '', redisUrl = '', prefix = '', only] = process.argv.slice(2)
/** @type {typeof import('../../src/index.js')} */
const { ClusteredRedisStore } = await import(storeUrl)

const client = new Redis(redisUrl)
const store = new ClusteredRedisStore({ redis: client, prefix })
await store.ready()

const cookie = {
  originalMaxAge: 86_400_000,
  expires: new Date(Date.now() + 86_400_000),
  path: '/',
  httpOnly: true,
}
const record = { cookie, user: 'ada' }
for (const id of ['warm', 'cold', 'touched', 'idle', 'left'])
  await store.set(id, /** @type {never} */ (record))
for (const id of ['cold', 'idle']) store.evictFromCache(id)
await client.pexpire(`${prefix}idle`, 1_000_000)

/** @typedef {() => void} Throw */
/** @type {Record<string, (callback: Throw) => void>} */
const calls = {
  'get from memory': callback => store.get('warm', callback),
  'get from Redis': callback => store.get('cold', callback),
  'get of nothing': callback => store.get('nobody', callback),
  'get of no id': callback => store.get('', callback),
  set: callback => store.set('new', /** @type {never} */ (record), callback),
  'set of nonsense': callback => store.set('new', /** @type {never} */ ({ cookie, big: 1n }), callback),
  'touch that costs nothing': callback => store.touch('touched', /** @type {never} */ (record), callback),
  'touch that is sent': callback => store.touch('idle', /** @type {never} */ (record), callback),
  destroy: callback => store.destroy('left', callback),
  length: callback => store.length(callback),
  clear: callback => store.clear(callback),
}

if (only !== undefined) {
  // Nobody listens: Node prints the error of the app and ends.
  calls[only]?.(() => {
    throw new Error(`thrown in ${only}`)
  })
} else {
  /** @type {Record<string, { called: number, uncaught: string[], rejected: string[] }>} */
  const seen = {}
  for (const [name, call] of Object.entries(calls)) {
    const noted = {
      called: 0,
      uncaught: /** @type {string[]} */ ([]),
      rejected: /** @type {string[]} */ ([]),
    }
    seen[name] = noted
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', error => noted.rejected.push(String(error)))
    const thrown = once(process, 'uncaughtException')
    process.on('uncaughtException', error => noted.uncaught.push(error.message))
    // From a turn of its own, so that what it throws at once is uncaught too.
    setImmediate(call, () => {
      noted.called++
      throw new Error(`thrown in ${name}`)
    })
    await thrown
    // A second call, or a rejection, would come while the store still works.
    await store.coordinator.publishInvalidation('nobody')
    await new Promise(resolve => setImmediate(resolve))
    process.removeAllListeners('uncaughtException')
  }
  console.log(JSON.stringify(seen))
  await store.shutdown()
  client.disconnect()
}

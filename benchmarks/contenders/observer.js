// @ts-check
// A node in a process of its own that says when it has heard what: a bare message, and that a session has left its memory.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { readEach } from './deeds.js'

const THIS_FILE = fileURLToPath(import.meta.url)

/** The clock that all processes of a machine share, in microseconds. */
export function sharedClock() {
  return Number(process.hrtime.bigint()) / 1000
}

/**
 * @param {string} url
 * @param {string} channel of bare messages
 */
export async function startObserver(url, channel) {
  const child = fork(THIS_FILE, [url, channel])
  await once(child, 'message')
  return {
    /** Resolves when it holds this session. @param {string} sid */
    async hold(sid) {
      child.send({ hold: sid })
      await once(child, 'message')
    },
    /** When it hears the next bare message, or loses the session it holds, in microseconds. */
    async next() {
      const [at] = await once(child, 'message')
      return /** @type {number} */ (at)
    },
    end: () => child.disconnect(),
  }
}

if (process.argv[1] === THIS_FILE) {
  const [url = '', channel = ''] = process.argv.slice(2)
  const bare = new Redis(url)
  bare.on('message', () => process.send?.(sharedClock()))
  await bare.subscribe(channel)

  // The store listens on a duplicate of its client: whoever listens there as well knows when it has just done so.
  const client = new Redis(url)
  const duplicate = client.duplicate.bind(client)
  let holding = false
  client.duplicate = options => {
    const subscriber = duplicate(options)
    subscriber.on('message', () => {
      queueMicrotask(() => {
        if (!holding || store.coordinator.localCache.size > 0) return
        holding = false
        process.send?.(sharedClock())
      })
    })
    return subscriber
  }
  const store = new ClusteredRedisStore({ redis: client })
  await store.ready()
  process.on('message', async message => {
    await readEach(store, [/** @type {{ hold: string }} */ (message).hold])
    holding = true
    process.send?.('held')
  })
  process.once('disconnect', () => process.exit())
  process.send?.('ready')
}

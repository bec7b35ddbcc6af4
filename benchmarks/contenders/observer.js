// @ts-check
// A node in a process of its own that says when it has heard what: a bare message, and that a session has left its memory.
import { fileURLToPath } from 'node:url'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { answerWith, say, startAsked } from '../measuring/asked-process.js'
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
  const observer = startAsked(THIS_FILE, [url, channel])
  await observer.heard()
  return {
    /** Resolves when it holds this session. @param {string} sid */
    hold: sid => observer.ask(sid),
    /** When it hears the next bare message, or loses the session it holds, in microseconds. */
    next: () => /** @type {Promise<number>} */ (observer.heard()),
    end: observer.end,
  }
}

if (process.argv[1] === THIS_FILE) {
  const [url = '', channel = ''] = process.argv.slice(2)
  const bare = new Redis(url)
  bare.on('message', () => say(sharedClock()))
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
        say(sharedClock())
      })
    })
    return subscriber
  }
  const store = new ClusteredRedisStore({ redis: client })
  await store.ready()
  answerWith(async (/** @type {string} */ sid) => {
    await readEach(store, [sid])
    holding = true
  })
  say('ready')
}

// @ts-check
// Nodes that only listen, each in a process of its own.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'

/** What is published here each of them hears, too, and does nothing about. */
export const BARE_CHANNEL = 'bare'
const THIS_FILE = fileURLToPath(import.meta.url)

/** @param {string} url */
export function listeningNodes(url) {
  /** @type {import('node:child_process').ChildProcess[]} */
  const processes = []
  return {
    /** @param {number} count */
    async grow(count) {
      while (processes.length < count) {
        const child = fork(THIS_FILE, [url])
        processes.push(child)
        await once(child, 'message')
      }
    },
    async end() {
      for (const child of processes) {
        child.disconnect()
        await once(child, 'exit')
      }
    },
  }
}

if (process.argv[1] === THIS_FILE) {
  const store = new ClusteredRedisStore({ redis: process.argv[2] ?? '' })
  await store.ready()
  const subscriber = new Redis(process.argv[2] ?? '')
  await subscriber.subscribe(BARE_CHANNEL)
  process.once('disconnect', () => {
    subscriber.disconnect()
    void store.shutdown()
  })
  process.send?.('ready')
}

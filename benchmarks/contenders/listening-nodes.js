// @ts-check
// Nodes that only listen, each in a process of its own.
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { answerWith, say, startAsked } from '../measuring/asked-process.js'
import { sessionOf } from '../measuring/session-of.js'
import { contendersNamed, openAll, openOurs, UNCACHED, urlOf } from './contenders.js'
import { load, save } from './deeds.js'

/** What is published here each of them hears, too, and does nothing about. */
export const BARE_CHANNEL = 'bare'
const THIS_FILE = fileURLToPath(import.meta.url)

/**
 * Each has all of these contenders, on the databases that `openAll` gives them: what one writes is heard by its own kind.
 *
 * @param {string} url
 * @param {readonly string[]} names
 */
export function listeningNodes(url, names) {
  /** @type {ReturnType<typeof startAsked>[]} */
  const nodes = []
  return {
    /** @param {number} count */
    async grow(count) {
      while (nodes.length < count) {
        const node = startAsked(THIS_FILE, [url, ...names])
        nodes.push(node)
        await node.heard()
      }
    },
    async end() {
      await Promise.all(nodes.map(node => node.end()))
    },
  }
}

if (process.argv[1] === THIS_FILE) {
  const [url = '', ...names] = process.argv.slice(2)
  const stores = await openAll(url, contendersNamed(...names))
  // What a node without memory writes is heard by those that have one.
  const uncached = stores.findIndex(({ name }) => name === UNCACHED)
  if (uncached !== -1) await openOurs(urlOf(url, uncached))
  const sid = `listener-${process.pid}`
  for (const { store } of stores) {
    // Some begin to listen when they are first used.
    await save(store, sid, sessionOf(500))
    await load(store, sid)
  }
  const subscriber = new Redis(url)
  await subscriber.subscribe(BARE_CHANNEL)
  answerWith(() => {})
  say('ready')
}

// @ts-check
import { setTimeout as passed } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startAsked } from '../measuring/asked-process.js'

const NODE = fileURLToPath(new URL('node.js', import.meta.url))

/** @typedef {import('./node.js').Load} Load */
/** @typedef {import('./node.js').Taken} Taken */

/** Nodes that have requests and writes, each in a process of its own. @param {readonly string[]} urls */
export function fleetOf(urls) {
  /** @type {ReturnType<typeof startAsked>[]} */
  const nodes = []
  return {
    get size() {
      return nodes.length
    },
    /** @param {number} count */
    async grow(count) {
      const started = Array.from({ length: count - nodes.length }, () => startAsked(NODE, [urls.join(',')]))
      nodes.push(...started)
      await Promise.all(started.map(node => node.heard()))
    },
    /**
     * What each node takes, on average.
     *
     * @param {number} ms
     * @param {Load | undefined} load
     * @returns {Promise<Taken>}
     */
    async during(ms, load) {
      const [all] = await Promise.all([
        Promise.all(nodes.map(node => node.ask({ ms, load }))).then(told => /** @type {Taken[]} */ (told)),
        passed(ms),
      ])
      return {
        cpu: all.reduce((sum, { cpu }) => sum + cpu, 0) / all.length,
        messages: all.reduce((sum, { messages }) => sum + messages, 0) / all.length,
      }
    },
    async end() {
      await Promise.all(nodes.map(node => node.end()))
    },
  }
}

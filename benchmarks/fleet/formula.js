// @ts-check
// What a fleet costs, from what one node, one miss, one write and one message cost.

/** @typedef {import('./redis-meter.js').Cost} Cost */

/**
 * @typedef {object} Terms all of it measured
 * @property {Cost} base Redis by itself, per second
 * @property {Cost} probing Redis, per node and second
 * @property {Cost} miss Redis, per miss
 * @property {Cost} save Redis, per write, but for passing its message on
 * @property {Cost} delivery Redis, for one message to one node
 * @property {{ idle: number, hit: number, miss: number, save: number, message: number }} node ms of CPU: per second, then for each
 *
 * @typedef {import('./node.js').Load & { nodes: number }} Fleet
 */

/** As a reader may write it down. A message goes to every node, also to the one that has sent it. */
export const FORMULA_AT_REDIS =
  'base + nodes × (probing + misses × miss + writes × (save + nodes × delivery))'
export const FORMULA_AT_NODE =
  'idle + (requests − misses) × hit + misses × miss + writes × (save + nodes × message)'
export const FORMULA_OF_MESSAGES = 'nodes × (probes + writes × nodes)'

/** @type {readonly (keyof Cost)[]} */
export const MEASURES = ['commands', 'bytesIn', 'bytesOut', 'cpu']

/**
 * Per second, of all nodes together.
 *
 * @param {Terms} terms
 * @param {Fleet} fleet requests, misses and writes per node and second
 * @returns {Cost}
 */
export function costAtRedis({ base, probing, miss, save, delivery }, { nodes, misses, writes }) {
  return eachMeasure(
    what =>
      base[what] +
      nodes * (probing[what] + misses * miss[what] + writes * (save[what] + nodes * delivery[what])),
  )
}

/**
 * Milliseconds of CPU of one node per second.
 *
 * @param {Terms} terms
 * @param {Fleet} fleet
 */
export function costAtNode({ node }, { nodes, requests, misses, writes }) {
  return (
    node.idle +
    (requests - misses) * node.hit +
    misses * node.miss +
    writes * (node.save + nodes * node.message)
  )
}

/**
 * Messages that Redis passes on per second, each counted once for every node that gets it: an own probe comes back to its node
 * alone.
 *
 * @param {Terms} terms
 * @param {Fleet} fleet
 */
export function messagesOf({ probing }, { nodes, writes }) {
  return nodes * (probing.commands + writes * nodes)
}

/**
 * @param {(what: keyof Cost) => number} measure
 * @returns {Cost}
 */
export function eachMeasure(measure) {
  return {
    commands: measure('commands'),
    bytesIn: measure('bytesIn'),
    bytesOut: measure('bytesOut'),
    cpu: measure('cpu'),
  }
}

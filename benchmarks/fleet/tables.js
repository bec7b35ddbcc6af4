// @ts-check
import { pointsOf } from '../measuring/points.js'
import { costAtNode, costAtRedis, MEASURES, messagesOf } from './formula.js'
import { LOAD } from './phases.js'

/**
 * @typedef {import('../measuring/points.js').Point} Point
 * @typedef {import('./formula.js').Terms} Terms
 * @typedef {import('./phases.js').Measured} Measured
 * @typedef {{ title: string, unit: string, points: Point[] }} Table
 * @typedef {{ at: string | number, nodes: number, idle: readonly Measured[], load: readonly Measured[], delivered: readonly number[] }} Column
 */

const IDLE = { requests: 0, misses: 0, writes: 0 }
const MICROSECONDS = 1_000

/**
 * What was measured of some nodes.
 *
 * @param {import('./terms.js').Fleet} fleet
 * @param {Terms} terms
 * @returns {Column}
 */
export function measuredColumn({ nodes, rounds }, { probing }) {
  const load = rounds.map(({ idle, pacing, load }) => ({
    redis: load.redis,
    node: { ...load.node, cpu: load.node.cpu - pacing.node.cpu + idle.node.cpu },
  }))
  return {
    at: nodes,
    nodes,
    idle: rounds.map(({ idle }) => idle),
    load,
    delivered: load.map(({ node }) => nodes * (node.messages + probing.commands)),
  }
}

/**
 * What the formulas say of so many.
 *
 * @param {number} nodes
 * @param {Terms} terms
 * @returns {Column}
 */
export function computedColumn(nodes, terms) {
  const of = (/** @type {import('./node.js').Load} */ load) => [
    {
      redis: costAtRedis(terms, { ...load, nodes }),
      node: { cpu: costAtNode(terms, { ...load, nodes }), messages: load.writes * nodes },
    },
  ]
  return {
    at: `${nodes.toLocaleString('en-US')} (computed)`,
    nodes,
    idle: of(IDLE),
    load: of(LOAD),
    delivered: [messagesOf(terms, { ...LOAD, nodes })],
  }
}

/** @param {readonly Column[]} columns */
export function cpuPoints(columns) {
  return tabled(columns, {
    'Redis, idle': ({ idle }) => idle.map(({ redis }) => redis.cpu),
    'Redis, under load': ({ load }) => load.map(({ redis }) => redis.cpu),
    'a node, idle': ({ idle }) => idle.map(({ node }) => node.cpu),
    'a node, under load': ({ load }) => load.map(({ node }) => node.cpu),
  })
}

/**
 * @param {readonly Column[]} columns
 * @returns {Table[]}
 */
export function trafficTables(columns) {
  const perNode = (/** @type {keyof Measured['redis']} */ what) => ({
    idle: (/** @type {Column} */ { nodes, idle }) => idle.map(({ redis }) => redis[what] / nodes),
    load: (/** @type {Column} */ { nodes, load }) => load.map(({ redis }) => redis[what] / nodes),
  })
  const [commands, bytesIn, bytesOut] = [perNode('commands'), perNode('bytesIn'), perNode('bytesOut')]
  return [
    {
      title: 'Commands that a node sends',
      unit: 'per second',
      points: tabled(columns, { idle: commands.idle, 'under load': commands.load }),
    },
    {
      title: 'Network between Redis and a node',
      unit: 'bytes per second',
      points: tabled(columns, {
        'to Redis, idle': bytesIn.idle,
        'to Redis, under load': bytesIn.load,
        'from Redis, idle': bytesOut.idle,
        'from Redis, under load': bytesOut.load,
      }),
    },
    {
      title: 'Messages under load',
      unit: 'per second',
      points: tabled(columns, {
        'of writes, that a node gets': ({ load }) => load.map(({ node }) => node.messages),
        'that Redis delivers to all nodes, probes among them': ({ delivered }) => delivered,
      }),
    },
  ]
}

/**
 * @param {Terms} terms
 * @returns {Table[]}
 */
export function termTables({ base, probing, miss, save, delivery, node }) {
  const names = { commands: 'commands', bytesIn: 'bytes in', bytesOut: 'bytes out', cpu: 'µs of CPU' }
  const atRedis = { base, probing, miss, save, delivery }
  return [
    {
      title: 'Terms at Redis',
      unit: 'base and probing: per second; all else: each',
      points: MEASURES.flatMap(what => {
        const scale = what === 'cpu' ? MICROSECONDS : 1
        const rows = Object.entries(atRedis).map(
          ([term, cost]) => /** @type {const} */ ([term, [cost[what] * scale]]),
        )
        return pointsOf(names[what], new Map(rows), '')
      }),
    },
    {
      title: 'Terms at a node',
      unit: 'idle: per second; all else: each',
      points: pointsOf(
        names.cpu,
        new Map(Object.entries(node).map(([term, cpu]) => [term, [cpu * MICROSECONDS]])),
        '',
      ),
    },
  ]
}

/**
 * @param {{ nodes: number, one: import('./copies.js').Copies, cluster: import('./copies.js').Copies, terms: Terms }} found
 * @returns {Table[]}
 */
export function copiesTables({ nodes, one, cluster, terms }) {
  const spared = (cluster.atNode - 1) * nodes * terms.delivery.cpu
  const setups = [
    { at: 'one server', ...one },
    { at: 'Cluster of 3', ...cluster },
    {
      at: 'Cluster of 3, a channel per primary (computed)',
      ...cluster,
      atNode: 1,
      cpu: Math.max(0, cluster.cpu - spared),
    },
  ]
  const rows = (
    /** @type {Record<string, (setup: import('./copies.js').Copies) => number>} */ picks,
    shown = setups,
  ) =>
    shown.flatMap(setup =>
      pointsOf(setup.at, new Map(Object.entries(picks).map(([name, pick]) => [name, [pick(setup)]])), ''),
    )
  return [
    {
      title: `Copies of the message of one write, ${nodes} nodes`,
      unit: 'messages',
      points: rows({
        'from server to server': ({ between }) => between,
        'that each node gets': ({ atNode }) => atNode,
      }),
    },
    {
      title: `What one write costs, ${nodes} nodes`,
      unit: 'µs of CPU',
      points: rows({
        'all servers': ({ cpu }) => cpu * MICROSECONDS,
        'each node that gets the message': ({ atNode }) => atNode * terms.node.message * MICROSECONDS,
      }),
    },
    {
      title: 'What an idle node costs',
      unit: 'per second',
      points: rows(
        {
          commands: ({ idleCommands }) => idleCommands,
          'µs of CPU of all servers': ({ idleCpu }) => idleCpu * MICROSECONDS,
        },
        setups.slice(0, 2),
      ),
    },
  ]
}

/**
 * @param {readonly Column[]} columns
 * @param {Record<string, (column: Column) => readonly number[]>} rows
 * @returns {Point[]}
 */
function tabled(columns, rows) {
  return columns.flatMap(column =>
    pointsOf(column.at, new Map(Object.entries(rows).map(([name, pick]) => [name, pick(column)])), ''),
  )
}

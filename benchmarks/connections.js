// @ts-check
// What do live connections cost, and how fast are they reached and closed?
//
//   npm run bench:connections
//   npm run bench:connections -- --quick     in some fifteen seconds
//   npm run bench:connections -- --write     writes the result into benchmarks/results/connections.md

import { writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createAdapter } from '@socket.io/redis-adapter'
import { ClusteredRedisStore, SessionCluster } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { io as connectSocketIo } from 'socket.io-client'
import { connectionsReport } from './connections-report.js'
import { startAsked } from './measuring/asked-process.js'
import { spreadOf } from './measuring/spread.js'
import { watchCommands } from './measuring/watch-commands.js'
import { startRedis } from './servers/redis.js'

const NODE = fileURLToPath(new URL('connections-node.js', import.meta.url))
const quick = process.argv.includes('--quick')
const ATTACHED = quick ? 2_000 : 20_000
const IN_FLIGHT = 64
const ROUNDS = quick ? 5 : 30
const HOPS = 200
const NODES = 4
const OTHERS = quick ? 1_000 : 10_000
const REVOCATIONS = quick ? 3 : 20
const IDLE = 1_000
const IDLE_FOR = quick ? 6_000 : 60_000

const { url, stop } = await startRedis()
const redis = new Redis(url)
const cluster = new SessionCluster({ redis: url, nodeId: 'asking' })
const store = new ClusteredRedisStore({
  cluster,
  indexes: { userId: session => /** @type {{ userId?: string }} */ (session).userId },
})
await cluster.start()
await store.ready()

const registering = await costsOfRegistering()
const hops = await timesOfHops()
const idle = await costOfIdling()
const revocations = await timesOfRevocations()
const text = await connectionsReport({ registering, hops, idle, revocations, OTHERS, NODES, IDLE })
await store.shutdown()
await cluster.shutdown()
redis.disconnect()
await stop()

console.log(text)
if (process.argv.includes('--write')) {
  await writeFile(new URL('results/connections.md', import.meta.url), text)
}
// The server may not be the only thing that is left.
process.exit(0)

/** @param {string} nodeId */
async function startNode(nodeId) {
  const node = startAsked(NODE, [url, nodeId])
  await node.heard()
  return node
}

/** @param {(text: unknown) => void} received */
function transport(received = () => {}) {
  return {
    kind: 'bench',
    /** @param {import('clustered-redis-store').Outgoing} message */
    send({ data }) {
      received(data)
      return /** @type {const} */ ('sent')
    },
    close() {},
    onClose() {},
  }
}

/** Attach and detach: how many a second, with many in flight, and what each asks of Redis. */
async function costsOfRegistering() {
  await store.set('s', { cookie: /** @type {any} */ ({}) })
  const rows = []
  for (const [what, options] of /** @type {const} */ ([
    ['without a session', {}],
    ['with a session and a user', { session: 's', userId: 1 }],
  ])) {
    /** @param {number} count */
    const attach = count =>
      Promise.all(Array.from({ length: count }, () => cluster.connections.attach(transport(), options)))
    /** @param {Awaited<ReturnType<typeof attach>>} connections */
    const detach = connections => Promise.all(connections.map(connection => connection.detach()))
    await detach(await attach(IN_FLIGHT))
    const attached = await measured(() => attach(100))
    const detached = await measured(() => detach(attached.result))
    /** @type {Awaited<ReturnType<typeof attach>>} */
    const all = []
    const began = performance.now()
    while (all.length < ATTACHED) all.push(...(await attach(IN_FLIGHT)))
    const between = performance.now()
    while (all.length > 0) await detach(all.splice(0, IN_FLIGHT))
    const ended = performance.now()
    rows.push({
      what,
      attach: { perSecond: ATTACHED / ((between - began) / 1000), ...attached },
      detach: { perSecond: ATTACHED / ((ended - between) / 1000), ...detached },
    })
  }
  return rows
}

/**
 * Commands and µs of Redis for each of a hundred.
 *
 * @template T
 * @param {() => Promise<T>} task
 */
async function measured(task) {
  const watch = await watchCommands(url)
  const before = (await watch.told()).length
  const cpu = await cpuOfRedis()
  const result = await task()
  const used = (await cpuOfRedis()) - cpu
  const commands = ((await watch.told()).length - before - 1) / 100
  watch.end()
  return { result, commands, cpu: (used * 1e6) / 100 }
}

/** In seconds. */
async function cpuOfRedis() {
  const info = await redis.info('cpu')
  const seconds = /** @param {string} name */ name =>
    Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1])
  return seconds('sys') + seconds('user')
}

/** There and back between two processes, halved. */
async function timesOfHops() {
  const other = await startNode('echoing')
  const { id } = /** @type {{ id: string }} */ (await other.ask({ what: 'echo' }))
  const publisher = new Redis(url)
  const subscriber = new Redis(url)
  await subscriber.subscribe('bench:back')
  const io = new Server({ adapter: createAdapter(new Redis(url), new Redis(url)) })
  /** @type {(text: unknown) => void} */
  let came = () => {}
  subscriber.on('message', (_channel, text) => came(text))
  io.on('back', text => came(text))
  const own = await cluster.connections.attach(transport(text => came(text)))
  const contenders = new Map(
    /** @type {[string, (text: string) => unknown][]} */ ([
      ['PUBLISH by ioredis', text => publisher.publish('bench:there', text)],
      ['cluster.send', text => cluster.send({ connection: id }, { to: own.id, text })],
      ['Socket.IO with @socket.io/redis-adapter, serverSideEmit', text => io.serverSideEmit('there', text)],
    ]),
  )
  /** @type {Map<string, number[]>} */
  const times = new Map([...contenders.keys()].map(name => [name, []]))
  await pause(200)
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, send] of contenders) {
      const began = performance.now()
      for (let hop = 0; hop < HOPS; hop++) {
        const back = new Promise(resolve => {
          came = resolve
        })
        await Promise.all([send(`${hop}`), back])
      }
      // The first round warms up.
      if (round > 0) times.get(name)?.push(((performance.now() - began) / HOPS / 2) * 1000)
    }
  }
  await own.detach()
  publisher.disconnect()
  subscriber.disconnect()
  await other.end()
  const base = times.get('PUBLISH by ioredis') ?? []
  return [...times].map(([name, each]) => ({
    name,
    time: spreadOf(each),
    ratio: spreadOf(each.map((value, round) => value / (base[round] ?? Number.NaN))),
  }))
}

/** What connections cost that do nothing: Redis by the second, memory here and there. */
async function costOfIdling() {
  const node = await startNode('idling')
  const quiet = await loadOfRedis()
  const before = { node: Number(await node.ask({ what: 'memory' })), redis: await memoryOfRedis() }
  const groups = Array.from({ length: IDLE }, (_, nth) => ({
    sessionId: `idle-${nth}`,
    userId: `${nth}`,
    count: 1,
  }))
  for (const { sessionId } of groups) await store.set(sessionId, { cookie: /** @type {any} */ ({}) })
  const sessions = await memoryOfRedis()
  await node.ask({ what: 'attach', groups })
  await pause(2_000)
  const after = { node: Number(await node.ask({ what: 'memory' })), redis: await memoryOfRedis() }
  const busy = await loadOfRedis()
  await node.end()
  return {
    commands: busy.commands - quiet.commands,
    cpu: busy.cpu - quiet.cpu,
    node: (after.node - before.node) / IDLE,
    redis: (after.redis - sessions) / IDLE,
  }
}

/** By the second. */
async function loadOfRedis() {
  const watch = await watchCommands(url)
  const commands = (await watch.told()).length
  const cpu = await cpuOfRedis()
  await pause(IDLE_FOR)
  const used = (await cpuOfRedis()) - cpu
  const came = (await watch.told()).length - commands
  watch.end()
  return { commands: came / (IDLE_FOR / 1000), cpu: (used * 1e6) / (IDLE_FOR / 1000) }
}

async function memoryOfRedis() {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
}

/** A user with 3 sessions and 10 connections, among many others on 4 nodes. */
async function timesOfRevocations() {
  const nodes = await Promise.all(Array.from({ length: NODES }, (_, nth) => startNode(`node-${nth}`)))
  const ports = await Promise.all(
    nodes.map(async node => /** @type {{ port: number }} */ (await node.ask({ what: 'echo' })).port),
  )
  await store.set('others', { cookie: /** @type {any} */ ({}) })
  const others = [{ sessionId: 'others', userId: 'other', count: OTHERS / NODES }]
  for (const node of nodes) await node.ask({ what: 'attach', groups: others })
  const io = new Server({ adapter: createAdapter(new Redis(url), new Redis(url)) })
  /** @type {{ last: number[], receipt: number[], closed: number[], socketIo: number[] }} */
  const times = { last: [], receipt: [], closed: [], socketIo: [] }
  for (let round = 0; round <= REVOCATIONS; round++) {
    const sids = [0, 1, 2].map(nth => `revoked-${round}-${nth}`)
    for (const sid of sids) await store.set(sid, /** @type {any} */ ({ cookie: {}, userId: `user-${round}` }))
    for (const [nth, node] of nodes.entries()) {
      const groups = sids.slice(0, nth < 2 ? 3 : 2).map(sessionId => ({ sessionId, userId: '1', count: 1 }))
      await node.ask({ what: 'attach', groups })
    }
    const began = performance.timeOrigin + performance.now()
    const { connections } = await store.by('userId', `user-${round}`).revoke()
    const ended = performance.timeOrigin + performance.now()
    const closings = await closingsOf(nodes)
    const sockets = await Promise.all(
      Array.from({ length: 10 }, async (_, nth) => {
        const socket = connectSocketIo(`http://127.0.0.1:${ports[nth % NODES]}`, {
          transports: ['websocket'],
          reconnection: false,
        })
        await new Promise(resolve => socket.on('connect', () => resolve(undefined)))
        return socket
      }),
    )
    const disconnecting = performance.timeOrigin + performance.now()
    const gone = Promise.all(
      sockets.map(socket => new Promise(resolve => socket.on('disconnect', () => resolve(undefined)))),
    )
    io.in('user:1').disconnectSockets(true)
    await gone
    const disconnected = await closingsOf(nodes)
    if (round === 0) continue
    times.last.push(Math.max(...closings) - began)
    times.receipt.push(ended - began)
    times.closed.push(connections?.closed ?? 0)
    times.socketIo.push(Math.max(...disconnected) - disconnecting)
  }
  await Promise.all(nodes.map(node => node.end()))
  return times
}

/** @param {Awaited<ReturnType<typeof startNode>>[]} nodes */
async function closingsOf(nodes) {
  const told = await Promise.all(nodes.map(node => node.ask({ what: 'closings' })))
  return /** @type {number[][]} */ (told).flat()
}

// @ts-check
// A node with live connections in a process of its own, driven over IPC: a test can kill it and stop it. Its connections have no
// socket behind them.
import { ClusteredRedisStore, SessionCluster } from 'clustered-redis-store'
import { answerCalls } from '../support/answer-calls.js'

const options = JSON.parse(process.argv[2] ?? '{}')
const cluster = new SessionCluster(options)
/** @type {ClusteredRedisStore<{ user?: string }, 'user'>} */
const store = new ClusteredRedisStore({ cluster, cache: false, indexes: { user: session => session.user } })

/** @type {Map<string, { connection: import('clustered-redis-store').Connection, heard: () => void, received: unknown[] }>} */
const open = new Map()
/** @type {string[]} */
const closings = []
/** @type {string[]} */
const said = []
/** @type {Record<string, number>} */
const events = { attached: 0, bound: 0, detached: 0 }
for (const event of /** @type {const} */ (['fenced', 'active'])) cluster.on(event, () => said.push(event))
process.on('unhandledRejection', error => said.push(`unhandled: ${error}`))

/** @param {import('clustered-redis-store').AttachOptions} options */
async function attach(options) {
  /** @type {string | undefined} */
  let id
  let heard = () => {}
  /** @type {unknown[]} */
  const received = []
  const connection = await cluster.connections.attach(
    {
      kind: 'fake',
      send: ({ data }) => {
        received.push(data)
        return 'sent'
      },
      close: (code, reason) => {
        closings.push(`${code} ${reason}`)
        if (id !== undefined) open.delete(id)
      },
      onClose() {},
      onActivity: touched => {
        heard = touched
      },
    },
    options,
  )
  id = connection.id
  if (connection.isOpen) open.set(id, { connection, heard, received })
  return id
}

/** @type {Record<string, (...args: any[]) => unknown>} */
const calls = {
  state: () => cluster.state,
  boot: () => cluster.boot,
  said: () => said,
  listen: () => {
    for (const event of /** @type {const} */ (['attached', 'bound', 'detached']))
      cluster.connections.on(event, () => {
        events[event] = (events[event] ?? 0) + 1
      })
  },
  events: () => events,
  login: (sid, user) => store.set(sid, { user }),
  destroy: sid => store.destroy(sid),
  revoke: user => store.by('user', user).revoke(),
  /** As many as there are options. */
  attach: each => Promise.all(each.map(attach)),
  attachMany: (count, given) => Promise.all(Array.from({ length: count }, () => attach(given))),
  open: () => [...open.keys()],
  closings: () => closings,
  received: id => open.get(id)?.received,
  heard: () => {
    for (const { heard } of open.values()) heard()
  },
  detachAll: () => Promise.all([...open.values()].map(({ connection }) => connection.detach())),
  sendOwn: () => {
    const [id] = open.keys()
    return cluster.send({ connection: id ?? '' }, 'local', { ack: true, timeout: 200 })
  },
  count: () => cluster.connections.count(),
  list: target => cluster.connections.list(target),
  reconcile: async () => {
    const found = await cluster.connections.reconcile()
    return found.map(({ id, userId, sessionId, meta, node }) => ({ id, userId, sessionId, meta, node }))
  },
  setMeta: async (id, key, value) => (await cluster.connections.get(id))?.setMeta(key, value),
  bind: async (id, user) => (await cluster.connections.get(id))?.bind(user),
  shutdown: async () => {
    await store.shutdown()
    await cluster.shutdown()
  },
}

answerCalls(calls)

await cluster.start()
process.send?.({ id: 0 })

// @ts-check
// One node in a process of its own, driven over IPC: a test can kill it and stop it, which it cannot do to itself.
import { SessionCluster } from 'clustered-redis-store'
import { answerCalls } from '../support/answer-calls.js'

const cluster = new SessionCluster(JSON.parse(process.argv[2] ?? '{}'))
/** @type {import('clustered-redis-store').Claim | undefined} */
let claim
/** @type {string[]} */
const said = []
cluster.on('fenced', () => said.push('fenced'))
cluster.on('active', () => said.push('active'))
process.on('unhandledRejection', error => said.push(`unhandled: ${error}`))

/** @type {Record<string, (...args: any[]) => unknown>} */
const calls = {
  boot: () => cluster.boot,
  state: () => cluster.state,
  said: () => said,
  acquire: async name => {
    claim = await cluster.claims.acquire(name)
    claim.signal.addEventListener('abort', () => said.push('aborted'))
    return claim.token
  },
  held: () => claim?.held(),
  release: () => claim?.release(),
  handles: count =>
    Promise.all(Array.from({ length: count }, (_, nth) => cluster.handles.register(`handle ${nth}`))),
  removeHandle: handle => cluster.handles.remove(handle),
  service: description => cluster.services.register(description).then(() => {}),
}

answerCalls(calls)

await cluster.start()
process.send?.({ id: 0 })

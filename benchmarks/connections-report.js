// @ts-check
import { quantile } from './measuring/spread.js'
import { machine } from './reporting/machine.js'

/**
 * @typedef {{ perSecond: number, commands: number, cpu: number }} Registering
 * @typedef {import('./measuring/spread.js').Spread} Spread
 */

/**
 * @param {object} measured
 * @param {readonly { what: string, attach: Registering, detach: Registering }[]} measured.registering
 * @param {readonly { name: string, time: Spread, ratio: Spread }[]} measured.hops
 * @param {{ commands: number, cpu: number, node: number, redis: number }} measured.idle
 * @param {{ last: number[], receipt: number[], closed: number[], socketIo: number[] }} measured.revocations
 * @param {number} measured.OTHERS
 * @param {number} measured.NODES
 * @param {number} measured.IDLE
 */
export async function connectionsReport({ registering, hops, idle, revocations, OTHERS, NODES, IDLE }) {
  const { hardware, node, redis } = await machine()
  const { processor, cores } = hardware
  const whole = /** @param {number} value */ value => Math.round(value).toLocaleString('en')
  const row = /** @param {string} what @param {Registering} cost */ (what, { perSecond, commands, cpu }) =>
    `| ${what} | ${whole(perSecond)} | ${commands.toFixed(2)} | ${cpu.toFixed(0)} |`
  const times = /** @param {readonly number[]} values */ values =>
    [0.5, 0.99].map(share => quantile(values, share).toFixed(1)).join(' | ')
  const ours = hops.find(({ name }) => name === 'cluster.send')
  const met = (ours?.ratio.median ?? Number.POSITIVE_INFINITY) <= 2
  return `# What live connections cost

\`npm run bench:connections -- --write\` wrote this page, on ${processor}, ${cores} cores, Node ${node}, Redis ${redis}, all on one machine. What it
measures is in [benchmarks/connections.js](../connections.js), what it is about in [docs/connections.md](../../docs/connections.md). The
connections end in the process that holds them: no socket is part of it, except where Socket.IO is.

## Attach and detach

64 in flight. Commands that Redis is sent, and µs of its CPU, for each.

| | Per second | Commands | CPU of Redis (µs) |
|---|---:|---:|---:|
${registering.flatMap(({ what, attach, detach }) => [row(`attach ${what}`, attach), row(`detach ${what}`, detach)]).join('\n')}

## To a connection on another node

From one process to another, one message after the other, in turns. The goal of \`cluster.send\` is at most twice a bare \`PUBLISH\`: ${met ? 'met' : '**missed**'}.

| | µs | As a multiple of PUBLISH |
|---|---:|---:|
${hops
  .map(({ name, time, ratio }) => {
    const spread = `${time.median.toFixed(0)} (${time.low.toFixed(0)} – ${time.high.toFixed(0)})`
    return `| ${name} | ${spread} | **${ratio.median.toFixed(2)}** |`
  })
  .join('\n')}

## Revoke a user with 3 sessions and 10 connections

Among ${whole(OTHERS)} other connections on ${NODES} nodes, each a process; ${revocations.last.length} times, ms from the call. Each time ${Math.min(...revocations.closed)} connections were
closed by the receipt. Socket.IO's row is \`disconnectSockets\` of a room with 10 sockets on as many nodes, without others; it has no receipt.

| Until | 50 % | 99 % |
|---|---:|---:|
| the last connection is closed | ${times(revocations.last)} |
| \`revoke()\` has the receipt | ${times(revocations.receipt)} |
| Socket.IO with @socket.io/redis-adapter: the last socket is disconnected | ${times(revocations.socketIo)} |

## Connections that do nothing

For ${whole(IDLE)} connections, each with a session of its own, with the default \`maxStaleAuth\` of 60 s.

| | |
|---|---:|
| Commands for Redis per second | ${idle.commands.toFixed(2)} |
| CPU of Redis per second | ${idle.cpu.toFixed(0)} µs |
| Memory of the node for each | ${whole(idle.node)} bytes |
| Memory of Redis for each | ${whole(idle.redis)} bytes |
`
}

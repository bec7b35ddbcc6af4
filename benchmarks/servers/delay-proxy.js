// @ts-check
// A server that is so many milliseconds away: what goes through takes half of that in each direction. Run as a process of its own.
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { endWithStarter, say, startAsked } from '../measuring/asked-process.js'
import { startAlarm } from './alarm.js'

const THIS_FILE = fileURLToPath(import.meta.url)

/**
 * @param {string} url
 * @param {number} roundTrip ms
 * @returns {Promise<{ url: string, stop: () => Promise<void> }>}
 */
export async function startDelayProxy(url, roundTrip) {
  const proxy = startAsked(THIS_FILE, [new URL(url).port, String(roundTrip / 2)])
  const port = await proxy.heard()
  return { url: `redis://127.0.0.1:${port}`, stop: proxy.end }
}

if (process.argv[1] === THIS_FILE) {
  endWithStarter()
  const port = Number(process.argv[2])
  const delay = Number(process.argv[3])
  /** In the order in which they are due. @type {{ due: number, deliver: () => void }[]} */
  const onTheirWay = []
  let watching = false

  const watch = () => {
    const now = alarm.now()
    while (onTheirWay[0] && onTheirWay[0].due <= now + alarm.precision) onTheirWay.shift()?.deliver()
    const [next] = onTheirWay
    watching = next !== undefined
    if (next) alarm.wakeAt(next.due)
  }
  const alarm = startAlarm(watch)
  /** @param {() => void} deliver */
  const send = deliver => {
    onTheirWay.push({ due: alarm.now() + delay, deliver })
    if (!watching) watch()
  }

  const server = createServer({ noDelay: true }, client => {
    const redis = connect({ port, host: '127.0.0.1', noDelay: true })
    for (const [from, to] of [
      [client, redis],
      [redis, client],
    ]) {
      from?.on('data', data => send(() => to?.write(data)))
      from?.on('close', () => send(() => to?.destroy()))
      from?.on('error', () => {})
    }
  })
  server.listen(0, '127.0.0.1', () => {
    say(/** @type {import('node:net').AddressInfo} */ (server.address()).port)
  })
}

// @ts-check
import autocannon from 'autocannon'
import { quantile } from './spread.js'

/** At the end of which one a run looks whether it is over, ms. */
const SAMPLE = 10

/**
 * What the browsers of so many users who have logged in would send.
 *
 * @param {string} url
 * @param {number} users
 */
export function logIn(url, users) {
  return Promise.all(
    Array.from({ length: users }, async () => {
      const response = await fetch(`${url}/login`, { method: 'POST' })
      if (!response.ok) throw new Error(`A login was answered with ${response.status}`)
      await response.arrayBuffer()
      return response.headers
        .getSetCookie()
        .map(cookie => cookie.split(';')[0])
        .join('; ')
    }),
  )
}

/**
 * One user on each connection, who asks again as soon as he is answered.
 *
 * @param {string} url
 * @param {readonly string[]} cookies
 * @param {number} ms
 */
export async function askAgainAndAgain(url, cookies, ms) {
  let connection = 0
  const run = autocannon({
    url: `${url}/me`,
    connections: cookies.length,
    duration: ms / 1000,
    sampleInt: SAMPLE,
    setupClient(client) {
      client.setHeaders({ cookie: cookies[connection++] ?? '' })
    },
  })
  /** @type {number[]} */
  const waits = []
  let first = Number.NaN
  let last = Number.NaN
  // Its own figures are whole milliseconds.
  run.on('response', (_client, _status, _bytes, wait) => {
    last = performance.now()
    if (waits.length === 0) first = last
    waits.push(wait)
  })
  const { errors, non2xx } = await run
  if (errors + non2xx > 0) throw new Error(`${errors} requests failed, ${non2xx} were refused`)
  return {
    count: waits.length,
    perSecond: ((waits.length - 1) * 1000) / (last - first),
    median: quantile(waits, 0.5),
  }
}

// @ts-check
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'

const MARK = 'all before this has been told'
const LINE = /^\+(\d+\.\d+) \[\d+ (\S+)\] (.*)$/

/**
 * When which command came. What scripts do inside is not told. Over a socket of its own: ioredis is thrown off by a command
 * that is told together with the answer to MONITOR.
 *
 * @param {string} url
 */
export async function watchCommands(url) {
  const redis = new Redis(url)
  const { hostname, port } = new URL(url)
  const watcher = connect(Number(port), hostname)
  await once(watcher, 'connect')
  /** @type {number[]} */
  const times = []
  let marked = () => {}
  createInterface({ input: watcher }).on('line', line => {
    const [, seconds, source, command = ''] = LINE.exec(line) ?? []
    if (command.includes(MARK)) marked()
    else if (seconds !== undefined && source !== 'lua') times.push(Number(seconds) * 1000)
  })
  const answered = once(watcher, 'data')
  watcher.write('MONITOR\r\n')
  await answered
  return {
    /** In the time of Date.now, of all commands so far. @returns {Promise<readonly number[]>} */
    async told() {
      const all = new Promise(resolve => {
        marked = () => resolve(undefined)
      })
      await redis.echo(MARK)
      await all
      return times
    },
    end() {
      watcher.destroy()
      redis.disconnect()
    },
  }
}

/**
 * How many commands came.
 *
 * @param {string} url
 * @param {() => Promise<unknown>} deed
 */
export async function commandsDuring(url, deed) {
  const watch = await watchCommands(url)
  const before = (await watch.told()).length
  await deed()
  const count = (await watch.told()).length - before
  watch.end()
  return count
}

// @ts-check
import { Redis } from 'ioredis'

const MARK = 'all before this has been told'

/**
 * When which command came. What scripts do inside is not told.
 *
 * @param {string} url
 */
export async function watchCommands(url) {
  const redis = new Redis(url)
  const watcher = await redis.monitor()
  /** @type {number[]} */
  const times = []
  let marked = () => {}
  watcher.on('monitor', (seconds, args, source) => {
    if (args[1] === MARK) marked()
    else if (source !== 'lua') times.push(Number(seconds) * 1000)
  })
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
      watcher.disconnect()
      redis.disconnect()
    },
  }
}

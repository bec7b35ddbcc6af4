// @ts-check
// What a walk over all sessions cannot do without, as one would write it without a store. What it reads is thrown away.

/** @typedef {import('ioredis').Redis} Redis */

/** @param {Redis} redis */
export async function scanAndRead(redis) {
  let count = 0
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', 'sess:*', 'COUNT', 1000)
    cursor = next
    if (keys.length > 0) count += (await redis.mget(keys)).length
  } while (cursor !== '0')
  return count
}

/** The same with the next SCAN under way while values are read. @param {Redis} redis */
export async function scanAheadAndRead(redis) {
  let count = 0
  let step = await redis.scan('0', 'MATCH', 'sess:*', 'COUNT', 1000)
  for (;;) {
    const [next, keys] = step
    const ahead = next === '0' ? undefined : redis.scan(next, 'MATCH', 'sess:*', 'COUNT', 1000)
    if (keys.length > 0) count += (await redis.mget(keys)).length
    if (!ahead) return count
    step = await ahead
  }
}

/** Sessions per second. @param {() => Promise<number>} walk */
export async function rateOf(walk) {
  const before = performance.now()
  const count = await walk()
  return (count / (performance.now() - before)) * 1000
}

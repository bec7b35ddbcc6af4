// @ts-check

const KEY = 'unique-service:ledger'
const KEPT = 20

/** Remembers the largest token that it has seen, and takes nothing from whoever comes with a smaller one. */
const APPEND = `
local newest = tonumber(redis.call('HGET', KEYS[1], 'token') or 0)
if tonumber(ARGV[1]) < newest then return 0 end
local count = redis.call('HINCRBY', KEYS[1], 'count', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('LPUSH', KEYS[2], count .. ' by ' .. ARGV[2] .. ', token ' .. ARGV[1])
redis.call('LTRIM', KEYS[2], 0, ${KEPT - 1})
return 1`

/** What the job writes to: it compares tokens, so that a node which does not know yet that it has lost the job changes nothing. */
export class Ledger {
  #redis

  /** @param {import('ioredis').Redis} redis */
  constructor(redis) {
    this.#redis = redis
  }

  /**
   * @param {number} token
   * @param {string} node
   */
  async append(token, node) {
    const taken = await this.#redis.eval(APPEND, 2, KEY, `${KEY}:lines`, token, node)
    if (taken === 0) throw new Error(`the ledger takes nothing with the token ${token} any more`)
  }

  /** The youngest first. */
  lines() {
    return this.#redis.lrange(`${KEY}:lines`, 0, -1)
  }
}

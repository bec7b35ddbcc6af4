// @ts-check
// One question, in a process of its own: what the stores of one leave behind slows down no other. Started by run.js.

import { questions } from './questions/questions.js'
import { startDelayProxy } from './servers/delay-proxy.js'
import { startRedis } from './servers/redis.js'
import { startRedisCluster } from './servers/redis-cluster.js'

const [name, speed] = process.argv.slice(2)
// Who asks may be gone before there is an answer.
process.once('disconnect', () => process.exit(1))
const quick = speed === 'quick'
const question = questions.find(each => each.name === name)
if (!question) throw new Error(`There is no question ${name}`)

/** @type {(() => unknown)[]} */
const endings = []
try {
  const answer = await question.run({
    quick,
    rounds: quick ? 3 : 15,
    time: quick ? 10 : 60,
    async startRedis(settings) {
      const { url, stop } = await startRedis(settings)
      endings.push(stop)
      return { url }
    },
    async startRedisCluster() {
      const { urls, stop } = await startRedisCluster()
      endings.push(stop)
      return { urls }
    },
    async slowDown(url, ms) {
      if (ms === 0) return url
      const proxy = await startDelayProxy(url, ms)
      endings.push(proxy.stop)
      return proxy.url
    },
    plan: steps => void process.send?.({ plan: steps }),
    step: what => void process.send?.({ step: what }),
  })
  process.send?.({ answer })
} finally {
  for (const end of endings.reverse()) await end()
}
// Not all that others have opened can be closed.
process.disconnect?.()
process.exit()

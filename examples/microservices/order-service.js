// @ts-check
import { startService } from './service.js'

/** @type {{ id: string, userId: string, items: string[], total: number }[]} */
const orders = []

await startService('order-service', 3002, (app, cluster) => {
  /** @param {string} userId @returns {Promise<object | undefined>} */
  async function userOf(userId) {
    const path = `/users/${encodeURIComponent(userId)}`
    const answer = await cluster.services.fetch('user-service', path, { signal: AbortSignal.timeout(2_000) })
    return answer.ok ? /** @type {Promise<object>} */ (answer.json()) : undefined
  }

  app.post('/orders', async (request, response) => {
    const { userId, items = [], total = 0 } = request.body ?? {}
    if (!userId || !(await userOf(String(userId)))) {
      return void response.status(400).json({ error: 'An order needs the userId of a user that there is.' })
    }
    const order = { id: String(orders.length + 1), userId: String(userId), items, total }
    orders.push(order)
    response.status(201).json(order)
  })

  app.get('/orders', (_request, response) => void response.json(orders))

  app.get('/orders/:id', async (request, response) => {
    const order = orders.find(({ id }) => id === request.params.id)
    if (!order) return void response.status(404).json({ error: 'There is no such order.' })
    // An order is worth showing, even if nobody knows whose it is at the moment.
    const user = await userOf(order.userId).catch(() => undefined)
    response.json({ ...order, user: user ?? null })
  })
})

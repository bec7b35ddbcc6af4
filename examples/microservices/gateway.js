// @ts-check
import { startService } from './service.js'

await startService('api-gateway', 3003, (app, cluster) => {
  /**
   * Passes a request on to whichever instance is there. If one cannot be reached, the next is asked; but a POST goes out once.
   *
   * @param {string} service
   * @returns {import('express').RequestHandler}
   */
  const passOnTo = service => async (request, response) => {
    const { method, originalUrl, body } = request
    const answer = await cluster.services.fetch(service, originalUrl, {
      method,
      signal: AbortSignal.timeout(5_000),
      ...(method === 'GET' || method === 'HEAD'
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }),
    })
    response
      .status(answer.status)
      .type('json')
      .send(await answer.text())
  }

  app.use('/users', passOnTo('user-service'))
  app.use('/orders', passOnTo('order-service'))

  app.get('/services', async (_request, response) => {
    const names = await cluster.services.names()
    const found = await Promise.all(names.map(name => cluster.services.find(name)))
    response.json(Object.fromEntries(names.map((name, index) => [name, found[index]])))
  })
})

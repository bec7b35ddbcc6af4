// @ts-check
// Three services that find each other through Redis: users, orders, and a gateway in front of both.
//
// Read in this order: service.js (how a process becomes a service), user-service.js, order-service.js (which asks the user
// service), gateway.js (which asks both, and shows the registry).
import { startNodes } from '../parts/start-nodes.js'

/** @param {string} name @param {string} file */
const service = (name, file) => ({ name, framework: 'Express', program: new URL(file, import.meta.url) })

await startNodes(
  [
    service('user-service', 'user-service.js'),
    service('order-service', 'order-service.js'),
    service('api-gateway', 'gateway.js'),
  ],
  (redis, nodes, url) => {
    const [users, orders, gateway] = nodes.map(({ port }) => port)
    return `
Three services run, each in a process of its own.

  user-service    http://localhost:${users}
  order-service   http://localhost:${orders}
  api-gateway     http://localhost:${gateway}
  Redis           ${redis}

  curl -X POST http://localhost:${gateway}/users -H "Content-Type: application/json" -d '{"name":"Alice","email":"alice@example.com"}'
  curl http://localhost:${gateway}/users/1
  curl -X POST http://localhost:${gateway}/orders -H "Content-Type: application/json" -d '{"userId":"1","items":["laptop"],"total":999.99}'
  curl http://localhost:${gateway}/orders/1
  curl http://localhost:${gateway}/services

Kill one (kill -9 and the pid that /services shows), and ask for /services again: within three seconds it is gone.
Start it again, in another terminal:

  REDIS_URL=${url} npm run microservices:redis-user

Ctrl-C stops everything.
`
  },
  { mayDie: true },
)

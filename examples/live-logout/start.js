// @ts-check
// Logs a user out on every node, and the WebSockets and event streams of all browsers end with the sessions.
//
// Read in this order: sessions.js (the cluster, the store on it, who is logged in), live.js (how a WebSocket and a stream of
// events become live connections), app.js (the routes; the logout is there), node.js. What the browser does stands in page.html.
import { startNodes } from '../parts/start-nodes.js'

const program = new URL('node.js', import.meta.url)

await startNodes(
  [
    { name: 'node-1', framework: 'Express', program },
    { name: 'node-2', framework: 'Express', program },
  ],
  (redis, nodes) => {
    const [first, second] = nodes.map(({ port }) => `http://localhost:${port}`)
    return `
"Live logout" of clustered-redis-store runs.

  node-1   ${first}
  node-2   ${second}
  Redis    ${redis}

Log in as alice in this browser on ${first}, and in a private window on ${second}.
Log out everywhere in the one, and see the connections of the other end at once.

Ctrl-C stops everything.
`
  },
)

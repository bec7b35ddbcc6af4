// @ts-check
// "My devices": see where you are logged in, and log out there. Two Express nodes, one Redis, no script in the browser.
//
// Read in this order: store.js (the options that all of it rests on), visit.js (what is in a session), app.js (what comes
// before every page), routes/login.js, routes/devices.js, routes/admin.js. What the pages look like stands in pages/.
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
"My devices" of clustered-redis-store runs.

  node-1   ${first}
  node-2   ${second}
  Redis    ${redis}

Log in as alice in this browser on ${first}, and in a private window on ${second}.
Log the one out from the other, and click there. Log in as sam to see what the security desk sees.

Ctrl-C stops everything.
`
  },
)

// @ts-check
// A chat on three nodes: whoever is on one sees, hears and can throw out those on all.
//
// Read in this order: node.js (the connections, and what they ask for), ../parts/roster.js (who is there, on every node). What
// the browser does stands in page.html.
import { startNodes } from '../parts/start-nodes.js'

const program = new URL('node.js', import.meta.url)

await startNodes(
  ['node-1', 'node-2', 'node-3'].map(name => ({ name, framework: 'node:http', program })),
  (redis, nodes) => {
    const addresses = nodes.map(({ name, port }) => `  ${name}   http://localhost:${port}`).join('\n')
    return `
A chat of clustered-redis-store runs on three nodes.

${addresses}
  Redis    ${redis}

Open each in a window, under another name, and talk. Kick somebody: the receipt says what became of the connections.

Ctrl-C stops everything.
`
  },
  { mayDie: true },
)

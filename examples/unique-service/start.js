// @ts-check
// One job that runs on one of three nodes at a time, and moves to another when its node dies.
//
// Read in this order: unique-job.js (run a job on one node at a time), ledger.js (what the job writes to, which refuses whoever
// does not hold the name any more), node.js.
import { startNodes } from '../parts/start-nodes.js'

const program = new URL('node.js', import.meta.url)

await startNodes(
  ['node-1', 'node-2', 'node-3'].map(name => ({ name, framework: 'node:http', program })),
  (redis, nodes) => {
    const addresses = nodes.map(({ name, port }) => `  ${name}   http://localhost:${port}`).join('\n')
    const [first] = nodes.map(({ port }) => port)
    return `
Three nodes run, and one of them the job: it writes a line twice a second.

${addresses}
  Redis    ${redis}

  curl http://localhost:${first}               who has the job, and the last lines
  curl -X POST http://localhost:${first}/die   kills that node, without a goodbye

Kill the one that has the job, and see another go on within three seconds, with a larger token.

Ctrl-C stops everything.
`
  },
  { mayDie: true },
)

// @ts-check
// A game over telnet in two processes: a gateway that holds the connections, and a world server that can be started again
// while they stay.
//
// Read in this order: telnet.js (a socket as a transport), gateway.js, server.js, ../parts/roster.js (who is connected, rebuilt
// after a restart), world.js (the game).
import { startNodes } from '../parts/start-nodes.js'

await startNodes(
  [
    { name: 'gateway', framework: 'telnet', program: new URL('gateway.js', import.meta.url) },
    { name: 'world', framework: '', program: new URL('server.js', import.meta.url) },
  ],
  (redis, [gateway], url) => `
A game runs: a gateway that holds the players, and a world server.

  gateway   telnet localhost ${gateway?.port}
  Redis     ${redis}

  connect wizard password
  look
  go north

Kill the world server (kill -9 and the pid that ps shows for examples/mush/server.js), and type something: the gateway says
that the world does not answer. Start it again, in another terminal:

  REDIS_URL=${url} npm run example:mush:server

Type look: you are still logged in, and where you were. Nobody has connected anew.

Ctrl-C stops everything.
`,
  { mayDie: true, port: 4201 },
)

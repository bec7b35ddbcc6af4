// @ts-check
// The world server. It holds no connection; it can be stopped, killed and started again, and nobody has to connect anew.
import { Roster } from '../parts/roster.js'
import { join, openCluster } from './cluster.js'
import { World } from './world.js'

const cluster = openCluster('world')
const roster = new Roster(cluster)
roster.on('reconciling', () => console.log('Starting connection state reconciliation from Redis...'))
roster.on('reconciled', error => {
  if (error) console.warn(`Connection state reconciliation failed, going on without: ${error.message}`)
  else console.log('Connection state reconciliation completed successfully')
})
const world = new World(cluster, roster)

cluster.handle('input', data => {
  const { connection, line } = /** @type {{ connection: string, line: string }} */ (data)
  return world.input(connection, line)
})

async function stop() {
  await cluster.shutdown()
  if (process.connected) process.disconnect()
}
for (const event of ['SIGINT', 'SIGTERM', 'disconnect']) process.on(event, () => void stop())

await join(cluster)
if (process.connected) process.send?.({ ready: true })

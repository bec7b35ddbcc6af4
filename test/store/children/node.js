// A node under a given name that does what it is told, line by line, and reports what it hears.
import { createInterface } from 'node:readline'

const [, , index = '', url = '', nodeId = ''] = process.argv
const { ClusteredRedisStore } = await import(index)
const store = new ClusteredRedisStore({ redis: url, cluster: { nodeId } })
store.on('nodeIdConflict', (/** @type {object} */ detail) => console.log('conflict', JSON.stringify(detail)))
await store.ready()
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [command, id = '', value = ''] = line.split(' ')
  if (command === 'set') await store.set(id, { user: value })
  if (command === 'get') console.log('got', id, JSON.stringify((await store.get(id)) ?? null))
  if (command === 'held') console.log('held', store.coordinator.localCache.size)
  if (command === 'destroy') await store.destroy(id)
  if (command === 'end') break
  console.log('done', line)
}
await store.shutdown()
process.stdin.destroy()

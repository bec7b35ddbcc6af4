// Uses a store, ends it in the way that is asked for, and then has nothing left to do.
const [, , index = '', url = '', way = ''] = process.argv
const { ClusteredRedisStore } = await import(index)
const { Redis } = await import('ioredis')

const client = new Redis(url)
const store = new ClusteredRedisStore({ redis: way === 'url' ? url : client, prefix: `${way}:` })
process.on('unhandledRejection', error => {
  console.log('unhandled', error)
  process.exitCode = 1
})
await store.ready()
await store.set('one', { user: 'ada' })
await store.get('one')
await store.size()
if (way !== 'quit') await store.shutdown()
await client.quit()
console.log('nothing left to do')

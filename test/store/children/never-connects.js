// A store whose Redis is not there: its errors end up with who asked, and nowhere else.
const [, , index = '', url = ''] = process.argv
const { ClusteredRedisStore } = await import(index)

process.on('unhandledRejection', error => {
  console.log('unhandled', error)
  process.exitCode = 1
})
const store = new ClusteredRedisStore({ redis: url, deadline: 100 })
await store.get('one').catch((/** @type {{ code: string }} */ error) => console.log('rejected', error.code))
const cookie = { originalMaxAge: 1000 }
await new Promise(resolve => {
  store.touch('one', { cookie }, (/** @type {unknown} */ error) => resolve(console.log('touched', error)))
})
await store.shutdown()
console.log('nothing left to do')

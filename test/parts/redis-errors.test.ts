import { expect, it } from 'vitest'
import { DeadlineError, RefusedError, UnavailableError } from '../../src/base/errors.js'
import { isAway, isConnectionLoss, toStoreError } from '../../src/redis/redis-errors.js'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })
const asOurs = (cause: Error) => toStoreError(cause, { secrets: [], harmless: true })

it.each([
  ['a connection that was closed', asOurs(new Error('Connection is closed.'))],
  ['a deadline', new DeadlineError('load', 5, { outcomeUnknown: false })],
  ['an open breaker', new UnavailableError('load', 'Redis did not answer')],
  ['a server that loads its data', asOurs(reply('LOADING Redis is loading the dataset in memory'))],
  ['a slot without a primary', asOurs(reply('CLUSTERDOWN The cluster is down'))],
])('%s says that Redis is away', (_what, error) => {
  expect(isAway(error)).toBe(true)
})

it.each([
  ['a right that was taken away', asOurs(reply('NOPERM this user has no permissions to run the command'))],
  ['a password that was changed', asOurs(reply('NOAUTH Authentication required.'))],
  ['a refused save', new RefusedError('destroyed')],
  ['no error at all', undefined],
])('%s does not: it is to be felt at once (guards: stale copies)', (_what, error) => {
  expect(isAway(error)).toBe(false)
})

it.each([
  'Connection is closed.',
  'connect ECONNREFUSED 127.0.0.1:6379',
  'read ECONNRESET',
  'write EPIPE',
  "Stream isn't writeable and enableOfflineQueue options is false",
  'Reached the max retries per request limit (which is 1). Refer to "maxRetriesPerRequest" option for details.',
  'Failed to refresh slots cache.',
])('"%s" is a lost connection', message => {
  expect(isConnectionLoss(new Error(message))).toBe(true)
})

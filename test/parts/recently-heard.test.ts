import { expect, it } from 'vitest'
import { RecentlyHeard } from '../../src/connections/recently-heard.js'

it('lets each message through once, also those that were overtaken (guards: recently heard)', () => {
  const heard = new RecentlyHeard()
  expect([1, 3, 2, 3, 1].map(seq => heard.isNew('a', seq))).toEqual([true, true, true, false, false])
  expect(heard.isNew('b', 1)).toBe(true)
  heard.forget('a')
  expect(heard.isNew('a', 1)).toBe(true)
})

it('remembers only so many', () => {
  const heard = new RecentlyHeard()
  for (let seq = 1; seq <= 10_000; seq++) heard.isNew('a', seq)
  expect([heard.isNew('a', 9_999), heard.isNew('a', 1)]).toEqual([false, true])
})

import { expect, it } from 'vitest'
import type { ChannelListener } from '../../src/bus/lines.js'
import { ConnectionEvents } from '../../src/connections/connection-events.js'
import { RecentlyHeard } from '../../src/connections/recently-heard.js'
import type { Row } from '../../src/connections/row.js'

it('lets each message through once, also those that were overtaken (guards: recently heard)', () => {
  const heard = new RecentlyHeard()
  expect([1, 3, 2, 3, 1].map(seq => heard.isNew('a', seq))).toEqual([true, true, true, false, false])
  expect(heard.isNew('b', 1)).toBe(true)
  heard.forget('a')
  expect(heard.isNew('a', 1)).toBe(true)
})

it('forgets all that a process has said once that is gone, also of the connections of others', () => {
  let hear = (_text: string) => {}
  let gone = (_run: string) => {}
  const told: string[] = []
  const options = {
    lines: {
      carry(_channel: string, { message }: ChannelListener) {
        hear = message
      },
    },
    keys: {},
    runs: {
      onGone(watcher: typeof gone) {
        gone = watcher
      },
    },
    emit: (event: string, { id }: { id: string }) => told.push(`${event} ${id}`),
    missed() {},
  }
  const eventsOf = (run: string) =>
    new ConnectionEvents({ ...options, run } as unknown as ConstructorParameters<typeof ConnectionEvents>[0])
  const row: Row = { boot: '', node: 'n', kind: '', session: null, user: null, meta: {}, since: 1, was: [] }
  const [sender, events] = [eventsOf('sender'), eventsOf('own')]
  const messages = [sender.message('detached', 'its own', row, ''), sender.sweptMessage('of another', row)]
  events.listen()
  for (const message of [...messages, ...messages]) hear(message)
  expect(told).toEqual(['detached its own', 'detached of another'])
  gone('sender')
  for (const message of messages) hear(message)
  expect(told.slice(2)).toEqual(['detached its own', 'detached of another'])
})

it('remembers only so many', () => {
  const heard = new RecentlyHeard()
  for (let seq = 1; seq <= 10_000; seq++) heard.isNew('a', seq)
  expect([heard.isNew('a', 9_999), heard.isNew('a', 1)]).toEqual([false, true])
})

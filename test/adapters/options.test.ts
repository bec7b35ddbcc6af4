// What an adapter does not take, it refuses at once, in a sentence.

import { expect, it } from 'vitest'
import { attachSocketIo, fromSocketIo } from '../../src/adapters/socket-io.js'
import { fromSse } from '../../src/adapters/sse.js'
import { fromWs } from '../../src/adapters/ws.js'
import { OptionError } from '../../src/index.js'

// None of them is looked at before the options are.
const ws = (options: object) => () => fromWs({} as never, options)
const sse = (options: object) => () => fromSse({} as never, options)
const socketIo = (options: object) => () => fromSocketIo({} as never, options)
const server = (options: object) => () => attachSocketIo({} as never, {} as never, options as never)
const attach = () => ({})

it.each<[what: string, make: () => unknown, message: string]>([
  [
    'a misspelt option of a WebSocket',
    ws({ onSLow: 'close' }),
    "fromWs: got the option 'onSLow', allowed are highWater, onSlow",
  ],
  [
    'a socket that is always slow',
    ws({ highWater: -1 }),
    'highWater: got -1, allowed is a whole number from 0',
  ],
  ['another way to treat it', ws({ onSlow: 'drop' }), "onSlow: got 'drop', allowed is 'skip' or 'close'"],
  [
    'a misspelt option of a stream',
    sse({ keepalive: 1 }),
    "fromSse: got the option 'keepalive', allowed are keepAlive",
  ],
  ['a beat back in time', sse({ keepAlive: -1 }), 'keepAlive: got -1, allowed is milliseconds from 0'],
  ['half a byte', sse({ highWater: 0.5 }), 'highWater: got 0.5'],
  ['a way that no stream has', sse({ onSlow: true }), 'onSlow: got true'],
  [
    'a misspelt option of a socket',
    socketIo({ events: 'x' }),
    "fromSocketIo: got the option 'events', allowed are event",
  ],
  ['an event without a name', socketIo({ event: '' }), "event: got ''"],
  ['packets that are none', socketIo({ highWater: '9' }), "highWater: got '9'"],
  ['nothing to attach with', server({}), 'attachSocketIo: attach: got undefined, allowed is a function'],
  [
    'what is no function',
    server({ attach: {} }),
    'attachSocketIo: attach: got object, allowed is a function',
  ],
  [
    'a misspelt option of a server',
    server({ attach, refuse: attach }),
    "attachSocketIo: got the option 'refuse'",
  ],
  ['an option of its sockets', server({ attach, onSlow: 'x' }), "onSlow: got 'x'"],
])('refuses %s', (_what, make, message) => {
  expect(make).toThrow(OptionError)
  expect(make).toThrow(message)
})

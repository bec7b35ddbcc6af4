import { expect, it } from 'vitest'
import { Claims } from '../../src/nodes/claims.js'
import { ManualClock } from '../support/manual-clock.js'
import { settled } from '../support/simulated-redis.js'

it('a claim that was asked for twice, and given back before the second answer is here, is asked for again', async () => {
  const asked: { script: string; args: unknown[]; answer: (reply: unknown) => void }[] = []
  const claims = new Claims({
    clock: new ManualClock(),
    leaseTtl: 10_000,
    heartbeat: 3_000,
    port: {
      run: ({ name }: { name: string }, _keys: string[], args: unknown[]) =>
        new Promise(answer => asked.push({ script: name, args, answer })),
    },
    registry: { keys: {}, onRelease: () => () => {}, listen: () => () => {} },
    membership: {
      boot: 'boot',
      field: 'n/a',
      self: { id: 'a', endpoint: null },
      isActive: true,
      until: Number.POSITIVE_INFINITY,
      active: () => 'boot',
      depend() {},
      onEnd: () => () => {},
    },
  } as unknown as ConstructorParameters<typeof Claims>[0])
  const both = [claims.acquire('x'), claims.acquire('x')]
  await settled()
  asked[0]?.answer(['held', '7'])
  const first = await both[0]
  void first?.release()
  await settled()
  // Redis has answered before it was told of the release, with the same token.
  asked[1]?.answer(['held', '7'])
  await settled()
  const again = asked.at(-1)
  expect([asked.length, again?.args.at(-1)]).toEqual([4, 7])
  again?.answer(['held', '8'])
  const second = await both[1]
  expect([first?.held(), second?.held(), second?.token]).toEqual([false, true, 8])
})

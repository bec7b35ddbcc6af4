import { expect, it } from 'vitest'
import { type Batch, batchesFor, sendInTurns } from '../../src/connections/batches.js'

const runs = ['a', 'b'].map(of => `${of}0000000-0000-0000-0000`)
const [a = '', b = ''] = runs
const idsOf = (run: string, count: number) => Array.from({ length: count }, (_, nth) => `n~${run}~${nth}`)

it('what names no connections is one message for all, as it is', () => {
  for (const [to, except] of [
    [{ user: 'ada' }, { sessions: ['s'] }],
    [{ all: true } as const, null],
  ] as const)
    expect(batchesFor(runs, to, except)).toEqual([[{ runs, to, except }]])
})

it('a list goes to each process without what is of others, and without what is excepted', () => {
  const [ofA, ofB] = [idsOf(a, 1_001), idsOf(b, 2)]
  const [spared, ...left] = ofB
  const connections = [...ofB, ...ofA]
  const except = { connections: [spared as string] }
  const [toA = [], toB] = batchesFor(runs, { connections }, except)
  expect(toA.map(({ to }) => ('connections' in to ? to.connections.length : 0))).toEqual([500, 500, 1])
  expect(toA.flatMap(({ to }) => ('connections' in to ? to.connections : []))).toEqual(ofA)
  expect(toB).toEqual([{ runs: [b], to: { connections: left }, except: null }])
  expect(batchesFor(runs, { all: true }, except)).toEqual([
    [{ runs: [a], to: { all: true }, except: null }],
    [{ runs: [b], to: { all: true }, except }],
  ])
  const [[first] = []] = batchesFor(runs, { connections: ofB }, { user: 'ada' }).slice(1)
  expect(first?.except).toEqual({ user: 'ada' })
})

it('the first are sent at once, the next when they are answered, and none to who is silent', async () => {
  const [list = []] = batchesFor([a], { connections: idsOf(a, 50_000) }, null)
  const answer: ((answered: boolean) => void)[] = []
  const sent: Batch[] = []
  const done = sendInTurns(
    list,
    batch => {
      sent.push(batch)
      return new Promise<boolean>(resolve => answer.push(resolve))
    },
    answered => !answered,
  )
  const counts: number[] = []
  for (const answered of [true, false]) {
    counts.push(sent.length)
    for (const each of answer.splice(0)) each(answered)
    await new Promise(setImmediate)
  }
  await done
  expect([...counts, sent.length]).toEqual([32, 64, 64])
  expect(sent).toEqual(list.slice(0, 64))
})

import { expect, it } from 'vitest'
import type { Places } from '../../src/redis/session-names.js'
import type { SessionReply } from '../../src/redis/session-reply.js'
import { GatheredReads } from '../../src/sessions/gathered-reads.js'

const READ_AT = { wall: 0, monotonic: 0 }
const placesOf = (name: string): Places => ({ keys: [name, `tombstone of ${name}`], target: 1 })
const reply = (name: string): SessionReply => ({ session: [name], seenAt: 0, readAt: READ_AT })

/** Answers with the first key of each session. */
function gathering(most: number) {
  const asked: { names: (string | undefined)[]; until: number }[] = []
  const reads = new GatheredReads(most, async (places, until) => {
    const names = places.map(({ keys }) => keys[0])
    asked.push({ names, until })
    if (names.includes('bad')) throw new Error('no answer')
    return names.map(name => reply(String(name)))
  })
  return { asked, read: (name: string, until = 100) => reads.read(placesOf(name), until) }
}

it('asks once for all that is wanted in one turn, and gives each its own answer', async () => {
  const { asked, read } = gathering(10)
  const answers = await Promise.all([read('a', 300), read('b', 200), read('c', 400)])
  expect(answers).toEqual([reply('a'), reply('b'), reply('c')])
  expect(asked).toEqual([{ names: ['a', 'b', 'c'], until: 200 }])
})

it('asks for no more at once than it may', async () => {
  const { asked, read } = gathering(2)
  const names = ['a', 'b', 'c', 'd', 'e']
  expect(await Promise.all(names.map(name => read(name)))).toEqual(names.map(reply))
  expect(asked.map(({ names }) => names)).toEqual([['a', 'b'], ['c', 'd'], ['e']])
})

it('tells all of them of a failure, and asks anew in the next turn', async () => {
  const { asked, read } = gathering(10)
  const outcomes = await Promise.allSettled([read('a'), read('bad')])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await read('a')).toEqual(reply('a'))
  expect(asked).toHaveLength(2)
})

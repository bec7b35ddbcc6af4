import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readAhead } from '../../src/sessions/read-ahead.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'

expectNoUnhandledRejections()

/** Tasks that answer with their number, unless they are to fail. */
function numbered(count: number, failing = -1) {
  const begun: number[] = []
  async function* tasks() {
    for (let number = 0; number < count; number++) {
      yield async () => {
        begun.push(number)
        if (number === failing) throw new Error(`task ${number}`)
        return number
      }
    }
  }
  return { begun, tasks: tasks() }
}

async function collect(answers: AsyncIterable<number>): Promise<{ seen: number[]; error: unknown }> {
  const seen: number[] = []
  try {
    for await (const answer of answers) seen.push(answer)
  } catch (error) {
    return { seen, error }
  }
  return { seen, error: undefined }
}

describe('reading ahead', () => {
  it.each([0, 1, 3, 10])('gives every answer in its order (%i ahead)', async count => {
    expect(await collect(readAhead(numbered(7).tasks, count))).toEqual({
      seen: [0, 1, 2, 3, 4, 5, 6],
      error: undefined,
    })
    expect(await collect(readAhead(numbered(0).tasks, count))).toEqual({ seen: [], error: undefined })
  })

  it('keeps the order where later tasks answer first', async () => {
    async function* tasks() {
      for (const [number, turns] of [5, 1, 3, 0].entries()) {
        yield async () => {
          for (let turn = 0; turn < turns; turn++) await nextTurn()
          return number
        }
      }
    }
    expect((await collect(readAhead(tasks(), 3))).seen).toEqual([0, 1, 2, 3])
  })

  it('begins so many ahead and no more, however long the one at hand takes (guards: memory stays flat)', async () => {
    const { begun, tasks } = numbered(100)
    let seen = 0
    for await (const _answer of readAhead(tasks, 3)) {
      for (let turn = 0; turn < 5; turn++) await nextTurn()
      expect(begun.length).toBe(Math.min(100, ++seen + 3))
    }
    expect(seen).toBe(100)
  })

  it('throws a failure when its turn comes, after what was asked for before it', async () => {
    const { seen, error } = await collect(readAhead(numbered(7, 4).tasks, 3))
    expect(seen).toEqual([0, 1, 2, 3])
    expect(error).toEqual(new Error('task 4'))
  })

  it('throws what the tasks themselves fail with', async () => {
    const failure = new Error('no more')
    async function* tasks() {
      yield async () => 0
      throw failure
    }
    expect((await collect(readAhead(tasks(), 0))).error).toBe(failure)
  })

  it('leaves no rejection behind when it is left before its turn, and begins nothing more', async () => {
    const { begun, tasks } = numbered(7, 2)
    for await (const answer of readAhead(tasks, 3)) {
      expect(answer).toBe(0)
      break
    }
    await nextTurn()
    expect(begun).toEqual([0, 1, 2, 3])
  })

  it('lets the event loop turn where every answer is at hand', async () => {
    let turns = 0
    let watching = true
    const watch = () => {
      turns++
      if (watching) setImmediate(watch)
    }
    setImmediate(watch)
    await collect(readAhead(numbered(50).tasks, 3))
    watching = false
    expect(turns).toBeGreaterThan(40)
  })
})

import { describe, expect, it } from 'vitest'
import { SessionError, UnreadableError } from '../../src/base/errors.js'
import { checkedSerializer, jsonSerializer, type Serializer } from '../../src/codec/serializer.js'

/** With what an app in JavaScript may pass. */
function serializer(stringify: unknown, parse: unknown = JSON.parse): Serializer {
  return checkedSerializer({ stringify, parse } as Serializer)
}

function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('This was to throw')
}

describe('a serializer of the app', () => {
  it.each([
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a Buffer', Buffer.from('{}'), 'object'],
    ['an object', { json: '{}' }, 'object'],
    ['a list', ['{}'], 'an array'],
    ['a promise', Promise.resolve('{}'), 'a promise'],
    ['a number', 7, 'number'],
  ])('whose stringify answers with %s is refused by name', (_what, answer, named) => {
    const error = thrown(() => serializer(() => answer).stringify({}))
    expect(error).toBeInstanceOf(SessionError)
    expect((error as Error).message).toBe(
      `The session cannot be stored: serializer.stringify answered with ${named} instead of a string`,
    )
  })

  it('whose stringify throws refuses the session, with what was thrown as the cause', () => {
    const cause = new Error('the secret word')
    const error = thrown(() =>
      serializer(() => {
        throw cause
      }).stringify({}),
    )
    expect(error).toBeInstanceOf(SessionError)
    expect(error).toMatchObject({ code: 'ERR_SESSION', cause })
    expect((error as Error).message).toBe('The session cannot be stored: serializer.stringify threw')
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'text'],
    ['a list', []],
    ['a promise', Promise.resolve({})],
  ])('whose parse answers with %s has read no session', (_what, answer) => {
    const error = thrown(() => serializer(JSON.stringify, () => answer).parse('{}'))
    expect(error).toBeInstanceOf(UnreadableError)
    expect((error as Error).message).toMatch(/^serializer\.parse makes no object of it/)
  })

  it('whose parse throws has read no session, and what it threw is not passed on: it may quote the text', () => {
    const parse = (text: string) => {
      throw new Error(`what is ${text}`)
    }
    const error = thrown(() => serializer(JSON.stringify, parse).parse('the secret word'))
    expect(error).toEqual(new UnreadableError('serializer.parse makes no object of it'))
    expect((error as Error).cause).toBeUndefined()
  })

  // A rejection that nobody handles ends the process.
  it('whose functions answer with promises that reject leaves none of them unhandled', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', listener)
    const asynchronous = serializer(
      async () => {
        throw new Error('of stringify')
      },
      async () => {
        throw new Error('of parse')
      },
    )
    expect(thrown(() => asynchronous.stringify({}))).toBeInstanceOf(SessionError)
    expect(thrown(() => asynchronous.parse('{}'))).toBeInstanceOf(UnreadableError)
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    process.off('unhandledRejection', listener)
    expect(unhandled.map(reason => (reason as Error).message)).toEqual([])
  })

  it('keeps its own this', () => {
    class Own implements Serializer {
      readonly mark = 'own:'
      stringify(session: object): string {
        return this.mark + JSON.stringify(session)
      }
      parse(text: string): object {
        return JSON.parse(text.slice(this.mark.length)) as object
      }
    }
    const own = checkedSerializer(new Own())
    expect(own.stringify({ a: 1 })).toBe('own:{"a":1}')
    expect(own.parse('own:{"a":1}')).toEqual({ a: 1 })
    expect([own.isJson, jsonSerializer.isJson]).toEqual([false, true])
  })
})

import { describe, expect, it } from 'vitest'
import { KeyedOrder } from '../../src/base/keyed-order.js'
import { settled } from '../support/simulated-redis.js'

/** Writes that end when they are told to. */
function writes() {
  const begun: string[] = []
  const ends = new Map<string, { done: (value: string) => void; fail: (error: Error) => void }>()
  const write = (name: string) => () => {
    begun.push(name)
    return new Promise<string>((done, fail) => ends.set(name, { done, fail }))
  }
  return { begun, write, end: (name: string) => ends.get(name)?.done(name), ends }
}

describe('writes of one session', () => {
  it('begin at once if none is under way, also of another session', () => {
    const { begun, write } = writes()
    const order = new KeyedOrder()
    void order.after('s', write('1'))
    void order.after('other', write('2'))
    expect(begun).toEqual(['1', '2'])
  })

  it('follow one another, and answer each its own caller (guards: writes of one session go one after the other)', async () => {
    const { begun, write, end } = writes()
    const order = new KeyedOrder()
    const written = ['1', '2', '3'].map(name => order.after('s', write(name)))
    for (const name of ['1', '2', '3']) {
      await settled()
      expect(begun.at(-1)).toBe(name)
      end(name)
    }
    expect(await Promise.all(written)).toEqual(['1', '2', '3'])
  })

  it('follow one that failed, too', async () => {
    const { begun, write, end, ends } = writes()
    const order = new KeyedOrder()
    const first = order.after('s', write('1'))
    const second = order.after('s', write('2'))
    ends.get('1')?.fail(new Error('refused'))
    await expect(first).rejects.toThrow('refused')
    await settled()
    expect(begun).toEqual(['1', '2'])
    end('2')
    expect(await second).toBe('2')
  })

  it('are pending until the last has ended, whether well or not, and nothing is left then', async () => {
    const { write, end, ends } = writes()
    const order = new KeyedOrder()
    expect(order.pending('s')).toBe(false)
    void order.after('s', write('1'))
    const second = order.after('s', write('2'))
    end('1')
    await settled()
    expect([order.pending('s'), order.pending('other')]).toEqual([true, false])
    ends.get('2')?.fail(new Error('refused'))
    await expect(second).rejects.toThrow('refused')
    expect(order.pending('s')).toBe(false)
    void order.after('s', write('3'))
    end('3')
    await settled()
    expect(order.pending('s')).toBe(false)
  })
})

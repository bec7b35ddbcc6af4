import { beforeEach, describe, expect, it } from 'vitest'
import { Directory } from '../../src/nodes/directory.js'
import { registryMessageFrom } from '../../src/nodes/registry-message.js'

let told: string[]
let calls: number
let directory: Directory

const entry = (boot: string) => ({ boot, node: { id: boot, endpoint: null, meta: {} }, services: [] })
const text = (boot: string) => `1:${boot.padEnd(36)}:${JSON.stringify(entry(boot))}`
const message = (from: string, to: string, set: object = {}, gone: string[] = []) => ({ from, to, set, gone })
const known = () => [...directory.entries.values()].map(({ boot }) => boot).sort()

beforeEach(() => {
  told = []
  calls = 0
  directory = new Directory(changes => {
    calls++
    for (const { before, after } of changes) told.push(`${before?.boot ?? '-'}>${after?.boot ?? '-'}`)
  })
})

describe('the copy of the registry', () => {
  it('follows messages that follow on each other', () => {
    directory.replace('1:5', ['n/a', text('a')])
    expect(directory.hear(message('1:5', '1:6', { 'n/b': entry('b') }))).toBe(true)
    expect(directory.hear(message('1:6', '1:7', {}, ['n/a']))).toBe(true)
    expect([known(), told, directory.version]).toEqual([['b'], ['->a', '->b', 'a>-'], '1:7'])
  })

  it('ignores what comes twice, or came before, and notices what is missing', () => {
    directory.replace('1:5', ['n/a', text('a')])
    expect(directory.hear(message('1:4', '1:5', {}, ['n/a']))).toBe(true)
    expect(directory.hear(message('1:6', '1:7', {}, ['n/a']))).toBe(false)
    expect([known(), directory.version]).toEqual([['a'], '1:5'])
  })

  it('compares versions as numbers', () => {
    directory.replace('1:9', [])
    expect(directory.hear(message('1:9', '1:10', { 'n/a': entry('a') }))).toBe(true)
    expect(known()).toEqual(['a'])
  })

  it('tells of nothing that is as it was', () => {
    directory.replace('1:5', ['n/a', text('a'), 'n/b', text('b')])
    directory.replace('1:9', ['n/b', text('b'), 'n/c', text('c')])
    expect(told).toEqual(['->a', '->b', 'a>-', '->c'])
    directory.replace('1:9', ['n/b', text('b'), 'n/c', text('c')])
    directory.dropUnconfirmed()
    expect([told.length, calls]).toEqual([4, 2])
  })

  it('keeps what Redis has lost, until it is there again or given up', () => {
    directory.replace('1:5', ['n/a', text('a'), 'n/b', text('b')])
    expect(directory.replace('', [])).toBe(true)
    expect(directory.replace('7:7', ['n/a', text('a')])).toBe(false)
    expect([known(), told]).toEqual([
      ['a', 'b'],
      ['->a', '->b'],
    ])
    expect(directory.replace('7:8', ['n/a', text('a')])).toBe(false)
    expect(known()).toEqual(['a', 'b'])
    directory.dropUnconfirmed()
    expect([known(), told.at(-1)]).toEqual([['a'], 'b>-'])
    directory.replace('7:9', [])
    expect(known()).toEqual([])
  })

  it('knows nothing of entries in a format of the future', () => {
    directory.replace('1:5', [
      'n/a',
      text('a').replace('1:', '2:'),
      'n/b',
      '1:x',
      'n/c',
      `1:${' '.repeat(36)}:{"boot":7}`,
    ])
    directory.hear(message('1:5', '1:6', { 'n/d': 'text', 'n/e': { boot: 'e', node: 'x', services: [] } }))
    expect([known(), told]).toEqual([[], []])
  })
})

describe('a message of the registry', () => {
  it.each([
    'no JSON',
    'null',
    '[]',
    '{}',
    '{"v":2,"from":"1:1","to":"1:2"}',
    '{"v":1,"from":1,"to":2}',
    '{"v":1,"from":"1:1","to":"1:2","set":[]}',
    '{"v":1,"from":"1:1","to":"1:2","gone":{}}',
  ])('is none of ours: %s', text => {
    expect(registryMessageFrom(text)).toBeUndefined()
  })

  it('is one of two', () => {
    expect(registryMessageFrom('{"v":1,"released":"x"}')).toEqual({ released: 'x' })
    expect(registryMessageFrom('{"v":1,"from":"","to":"1:1","gone":["a"],"more":1}')).toEqual({
      from: '',
      to: '1:1',
      set: {},
      gone: ['a'],
    })
  })
})

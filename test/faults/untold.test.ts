import { describe, expect, it } from 'vitest'
import type { Operation } from '../checker/history.js'
import { untold } from './untold.js'

const KILLED = [{ from: 100, to: 200 }]

describe('what a server executed as it was killed', () => {
  const failed = (more: Partial<Operation>): Operation => ({
    node: 'a',
    kind: 'request',
    sid: 's',
    began: 90,
    ended: 110,
    outcome: 'failed',
    ...more,
  })
  const read = (found: Operation['found']): Operation => ({
    node: 'b',
    kind: 'read',
    sid: 's',
    began: 250,
    ended: 251,
    outcome: 'done',
    ...(found && { found }),
  })
  const save = failed({ version: 7 })
  const logout = failed({ kind: 'logout' })

  it('is a save that somebody has read since', () => {
    const [found] = untold([save, read({ version: 7, origin: 'redis' })], new Map(), KILLED)
    expect(found?.write).toMatchObject({ kind: 'save', version: 7, at: 200 })
  })

  it('is a destroy after which somebody has found nothing', () => {
    const [found] = untold([logout, read('nothing')], new Map(), KILLED)
    expect(found?.write).toMatchObject({ kind: 'destroy', at: 200 })
  })

  it.each<[why: string, operations: Operation[], killed: typeof KILLED]>([
    ['nobody has seen', [save, read({ version: 6, origin: 'redis' }), logout], KILLED],
    ['was over before', [{ ...save, ended: 99 }, read({ version: 7, origin: 'redis' })], KILLED],
    ['no server was killed during', [save, read({ version: 7, origin: 'redis' })], []],
  ])('is nothing that %s', (_why, operations, killed) => {
    expect(untold(operations, new Map(), killed)).toEqual([])
  })
})

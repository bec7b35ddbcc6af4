import { describe, expect, it } from 'vitest'
import { Fences } from '../../src/cache/fences.js'

describe('tickets of one session', () => {
  it('are one ticket for as long as nothing comes between, however many take it', () => {
    const fences = new Fences()
    const ticket = fences.take('s')
    expect(ticket.live).toBe(true)
    expect(fences.take('s')).toBe(ticket)
    expect(fences.take('other')).not.toBe(ticket)
    fences.giveBack(ticket)
    expect(fences.take('s')).toBe(ticket)
  })

  it('are voided also when all but one were given back (guards: a ticket is out until its last holder is done)', () => {
    const fences = new Fences()
    const ticket = fences.take('s')
    for (const again of [fences.take('s'), fences.take('s')]) fences.giveBack(again)
    fences.void('s')
    expect(ticket.live).toBe(false)
  })

  it('leave nothing behind once all were given back (guards: memory is bounded by the sessions in flight)', () => {
    const fences = new Fences()
    const ticket = fences.take('s')
    fences.giveBack(fences.take('s'))
    fences.giveBack(ticket)
    expect(fences.take('s')).not.toBe(ticket)
  })

  it('are others after they were voided, which a late return does not touch', () => {
    for (const voided of [(fences: Fences) => fences.void('s'), (fences: Fences) => fences.voidAll()]) {
      const fences = new Fences()
      const before = fences.take('s')
      voided(fences)
      const after = fences.take('s')
      expect([before.live, after.live]).toEqual([false, true])
      fences.giveBack(before)
      expect(fences.take('s')).toBe(after)
      fences.void('s')
      expect(after.live).toBe(false)
    }
  })
})

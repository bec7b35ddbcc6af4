import { describe, expect, it } from 'vitest'
import { EchoLease } from '../../src/bus/echo-lease.js'

const at = (time: number) => ({ wall: time, monotonic: time })

describe('a lease', () => {
  it('counts a probe only when it was both heard and confirmed, in either order', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    expect(lease.echoed('1')).toBe(true)
    expect(lease.heardSince).toBeUndefined()
    lease.confirmed('1')
    expect(lease.heardSince).toEqual(at(1))
    lease.sent('2', at(2))
    lease.confirmed('2')
    expect(lease.heardSince).toEqual(at(1))
    expect(lease.echoed('2')).toBe(true)
    expect(lease.heardSince).toEqual(at(2))
  })

  it('reaches back to when the probe was sent, not to when it was heard', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    lease.sent('2', at(1_000))
    lease.confirmed('1')
    lease.echoed('1')
    expect(lease.heardSince).toEqual(at(1))
  })

  it('sees that a nonce was overtaken', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    lease.sent('2', at(2))
    expect(lease.echoed('2')).toBe(false)
    expect(lease.echoed('1')).toBe(true)
  })

  it('takes a nonce for overtaken only while it was not heard, whether or not it was confirmed', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    lease.sent('2', at(2))
    expect(lease.echoed('1')).toBe(true)
    expect(lease.echoed('2')).toBe(true)
  })

  it('does not mind nonces that it did not send, or that come twice', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    expect(lease.echoed('other')).toBe(true)
    expect(lease.echoed('1')).toBe(true)
    lease.confirmed('1')
    expect(lease.echoed('1')).toBe(true)
    lease.confirmed('other')
    expect(lease.heardSince).toEqual(at(1))
  })

  it('still waits for the younger probes when one has counted', () => {
    const lease = new EchoLease()
    for (const nonce of ['1', '2', '3']) lease.sent(nonce, at(Number(nonce)))
    for (const nonce of ['1', '2', '3']) {
      lease.echoed(nonce)
      lease.confirmed(nonce)
      expect(lease.heardSince).toEqual(at(Number(nonce)))
    }
  })

  it('tells since when an executed probe waits to be heard', () => {
    const lease = new EchoLease()
    lease.sent('1', at(1))
    lease.sent('2', at(2))
    expect(lease.waitingSince).toBeUndefined()
    lease.confirmed('2')
    expect(lease.waitingSince).toEqual(at(2))
    lease.reset()
    expect(lease.waitingSince).toBeUndefined()
  })

  it('does not grow while nobody answers', () => {
    const lease = new EchoLease()
    for (let probe = 0; probe < 1_000; probe++) lease.sent(String(probe), at(probe))
    expect(lease.echoed('10')).toBe(true)
    lease.confirmed('10')
    expect(lease.heardSince).toBeUndefined()
  })
})

import { expect, it, vi } from 'vitest'
import { until } from './until.js'

it('answers with the first truthy value', async () => {
  let asked = 0
  expect(await until(() => (++asked === 3 ? 'third' : ''))).toBe('third')
})

it('outlives errors, and reports the last one when time is up', async () => {
  let asked = 0
  await until(() => {
    if (++asked < 3) throw new Error('not yet')
    return true
  })
  const failing = until(() => Promise.reject(new Error('refused')), { timeout: 20, message: 'a connection' })
  await expect(failing).rejects.toThrow('Waited 20 ms in vain for a connection; last error: Error: refused')
})

it('does not wait for an answer that never comes', async () => {
  await expect(until(() => new Promise<boolean>(() => {}), { timeout: 20 })).rejects.toThrow('in vain')
})

it('keeps time while the timers of a test are fake', async () => {
  vi.useFakeTimers()
  try {
    await expect(until(() => false, { timeout: 20 })).rejects.toThrow('in vain')
  } finally {
    vi.useRealTimers()
  }
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { elapsed, LATEST, momentOf, pause, systemClock } from '../../src/base/clock.js'

const LONGEST_TIMER = 2_147_483_647

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

it('knows the last moment that a date can tell', () => {
  expect(new Date(LATEST).getTime()).toBe(LATEST)
  expect(new Date(LATEST + 1).getTime()).toBeNaN()
})

describe('the clock of the system', () => {
  it('tells the time on both clocks', () => {
    const before = momentOf(systemClock)
    vi.advanceTimersByTime(250)
    const { wall, monotonic } = momentOf(systemClock)
    expect([before.wall, wall]).toEqual([1_800_000_000_000, 1_800_000_000_250])
    expect(monotonic - before.monotonic).toBe(250)
  })

  it('runs a task once, when it is due', () => {
    const task = vi.fn()
    systemClock.after(100, task)
    vi.advanceTimersByTime(99)
    expect(task).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1_000)
    expect(task).toHaveBeenCalledOnce()
  })

  it('runs no task that was called off', () => {
    const task = vi.fn()
    systemClock.after(100, task)()
    vi.advanceTimersByTime(1_000)
    expect(task).not.toHaveBeenCalled()
  })

  it('does not run at once what is due in a month or later', () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout')
    systemClock.after(40 * 24 * 3_600_000, () => {})
    expect(setTimer.mock.lastCall?.[1]).toBe(LONGEST_TIMER)
  })

  it('keeps no process alive', () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout')
    systemClock.after(100, () => {})
    const timer = setTimer.mock.results[0]?.value as NodeJS.Timeout
    expect(timer.hasRef()).toBe(false)
  })
})

describe('what went by', () => {
  it.each([
    ['both clocks agree', { wall: 110, monotonic: 60 }, 10],
    ['the monotonic clock stood still', { wall: 110, monotonic: 50 }, 10],
    ['the wall clock was set back', { wall: 40, monotonic: 60 }, 10],
  ])('is what the clock says that saw more of it: %s', (_, now, ms) => {
    expect(elapsed({ wall: 100, monotonic: 50 }, now)).toBe(ms)
  })
})

it('a pause ends when it is over, and not before', async () => {
  const ended = vi.fn()
  const pausing = pause(systemClock, 100).then(ended)
  await vi.advanceTimersByTimeAsync(99)
  expect(ended).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  await pausing
  expect(ended).toHaveBeenCalledOnce()
})

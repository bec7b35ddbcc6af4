import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { startStopwatch } from './stopwatch.js'

it('counts what is slept and what is worked', async () => {
  const elapsed = startStopwatch()
  const began = performance.now()
  await sleep(50)
  expect(elapsed()).toBeGreaterThan(30)
  expect(elapsed()).toBeLessThanOrEqual(performance.now() - began)
})

it.skipIf(!existsSync('/proc/thread-self/schedstat'))(
  'does not count the time in which others had the cores',
  () => {
    const busy = Array.from({ length: 4 * availableParallelism() }, () =>
      spawn(process.execPath, ['-e', 'for (;;);']),
    )
    onTestFinished(() => {
      for (const child of busy) child.kill('SIGKILL')
    })
    const began = performance.now()
    const elapsed = startStopwatch(process.pid, undefined)
    // Until enough of it was taken away: by then they run.
    while (performance.now() - began - elapsed() < 200 && performance.now() - began < 15_000);
    expect(performance.now() - began - elapsed()).toBeGreaterThanOrEqual(200)
  },
)

it('goes on while the timers of a test are fake', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const elapsed = startStopwatch()
  spawnSync('sleep', ['0.05'])
  expect(elapsed()).toBeGreaterThan(10)
})

it('counts everything of a process that is gone', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  await new Promise(resolve => child.once('exit', resolve))
  const elapsed = startStopwatch(child.pid)
  await sleep(20)
  expect(elapsed()).toBeGreaterThan(10)
})

import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// A worker that is itself killed runs no hook at all, so what it started is also written down on disk,
// where the run finds it at its end.
const running = new Map<number, string>()

/** Remembers a started process, so that it ends with this one, or at the latest with the run. */
export function remember(pid: number, runDirectory: string): void {
  watchOwnEnd()
  const folder = join(runDirectory, 'pids')
  mkdirSync(folder, { recursive: true })
  const record = join(folder, String(pid))
  writeFileSync(record, '')
  running.set(pid, record)
}

/** The process is known to have ended. */
export function forget(pid: number): void {
  const record = running.get(pid)
  if (record === undefined) return
  running.delete(pid)
  rmSync(record, { force: true })
}

/** Ends what the workers of a run left behind; synchronous, because the run may be exiting. */
export function endLeftovers(runDirectory: string): void {
  for (const pid of recorded(join(runDirectory, 'pids'))) {
    if (isOurs(pid, runDirectory)) kill(pid)
  }
}

function recorded(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number)
  } catch {
    return []
  }
}

/** A process id may by now belong to a stranger; ours work in a folder of the run. */
function isOurs(pid: number, runDirectory: string): boolean {
  if (process.platform !== 'linux') return true
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(runDirectory)
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

let watching = false

function watchOwnEnd(): void {
  if (watching) return
  watching = true
  const endAll = () => {
    for (const pid of running.keys()) kill(pid)
  }
  process.once('exit', endAll)
  // Neither emits an exit event: being told to go, and losing the run this worker belongs to. With this
  // listener gone, the signal does what it would have done without it.
  for (const event of ['SIGTERM', 'disconnect']) {
    process.once(event, () => {
      endAll()
      process.kill(process.pid, 'SIGTERM')
    })
  }
}

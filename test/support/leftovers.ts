import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
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

/** Ends what the workers of a run left behind. */
export async function endLeftovers(runDirectory: string): Promise<void> {
  const pids = await readdir(join(runDirectory, 'pids')).catch(() => [])
  for (const pid of pids.map(Number)) {
    if (await isOurs(pid, runDirectory)) kill(pid)
  }
}

/** A process id may by now belong to a stranger; ours work in a folder of the run. */
async function isOurs(pid: number, runDirectory: string): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '')
  return folder.startsWith(runDirectory)
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
  process.on('exit', endAll)
  // A worker is told to go this way, which emits no exit event. With this listener gone, the second signal
  // does what the first would have done.
  process.once('SIGTERM', () => {
    endAll()
    process.kill(process.pid, 'SIGTERM')
  })
}

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mutation } from './mutations-of.js'
import type { Outcome } from './worker.js'

/** No mutation that lets anything end takes as long, even on a machine that is busy with something else. */
const LONGEST = 120_000

export interface Tried extends Outcome {
  readonly mutation: Mutation
}

/** What becomes of each mutation, in their order. */
export async function tryAll(
  mutations: readonly Mutation[],
  workers: number,
  tell: (tried: Tried) => void,
): Promise<Tried[]> {
  const tried: Tried[] = []
  const waiting = [...mutations.entries()]
  const work = async () => {
    let worker: ChildProcess | undefined
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, mutation] = next
      worker ??= await start()
      const outcome = await askOf(worker, mutation)
      if (!outcome) {
        await kill(worker)
        worker = undefined
      }
      const one: Tried = { mutation, ...(outcome ?? { kind: 'timeout' }) }
      tried[index] = one
      tell(one)
    }
    worker?.disconnect()
  }
  await Promise.all(Array.from({ length: workers }, work))
  return tried
}

async function start(): Promise<ChildProcess> {
  // In a group of its own, so that what it has started ends with it.
  const worker = fork(join(import.meta.dirname, 'worker.js'), { detached: true })
  if ((await nextMessage(worker)) !== 'ready') throw new Error('A worker has ended before it was ready')
  return worker
}

/** Undefined if it does not end. */
function askOf(worker: ChildProcess, mutation: Mutation): Promise<Outcome | undefined> {
  worker.send(mutation)
  return nextMessage(worker, LONGEST) as Promise<Outcome | undefined>
}

/** Undefined if none comes, because the worker has ended or time is over. */
async function nextMessage(worker: ChildProcess, ms?: number): Promise<unknown> {
  const given = new AbortController()
  const giveUp = () => given.abort()
  const timer = ms === undefined ? undefined : setTimeout(giveUp, ms)
  worker.once('exit', giveUp)
  try {
    const [message] = await once(worker, 'message', { signal: given.signal })
    return message
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    worker.off('exit', giveUp)
  }
}

async function kill(worker: ChildProcess): Promise<void> {
  if (worker.exitCode === null && worker.signalCode === null) {
    const ended = once(worker, 'exit')
    process.kill(-(worker.pid as number), 'SIGKILL')
    await ended
  }
  await rm(join(import.meta.dirname, `../../../mutation-${worker.pid}`), { recursive: true, force: true })
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { ROOT } from '../support/run-command.js'

export interface Alone extends AsyncDisposable {
  readonly pid: number
  /** What it has printed, warnings included. */
  readonly output: string
  readonly ended: boolean
  /** SIGKILL: no goodbye. */
  kill(): Promise<void>
}

/** One program of an example, as its npm script starts it after the build. */
export function startAlone(program: string, env: NodeJS.ProcessEnv): Alone {
  const child = spawn(process.execPath, [join(ROOT, program)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const ended = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  const callOff = atEndOfFile(async () => void child.kill('SIGKILL'))
  return {
    pid: child.pid ?? -1,
    get output() {
      return output
    },
    get ended() {
      return child.exitCode !== null || child.signalCode !== null
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    async [Symbol.asyncDispose]() {
      callOff()
      await stop()
    },
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { ROOT } from '../support/run-command.js'

/** One program of an example, as its npm script starts it after the build. */
export function startAlone(program: string, env: NodeJS.ProcessEnv): { pid: number } & AsyncDisposable {
  const child = spawn(process.execPath, [join(ROOT, program)], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  const callOff = atEndOfFile(async () => void child.kill('SIGKILL'))
  return {
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      callOff()
      await stop()
    },
  }
}

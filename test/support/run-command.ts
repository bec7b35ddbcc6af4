import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface CommandOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Milliseconds after which the command is killed. */
  timeout?: number
}

export interface CommandResult {
  /** Null if it had to be killed. */
  code: number | null
  stdout: string
  /** Both streams, as they came. */
  output: string
}

export const ROOT = join(import.meta.dirname, '../..')

/** Runs a program to its end, in the root of the repository unless told otherwise; a failing one is an answer too. */
export async function runCommand(
  command: string,
  args: string[],
  { cwd = ROOT, env = process.env, timeout = 120_000 }: CommandOptions = {},
): Promise<CommandResult> {
  const signal = AbortSignal.timeout(timeout)
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let output = ''
  child.stdout.on('data', (text: string) => {
    stdout += text
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const closed = once(child, 'close')
  try {
    const [code] = await closed
    return { code, stdout, output }
  } catch (error) {
    if (!signal.aborted) throw error
    return { code: null, stdout, output: `${output}\n${command} was killed after ${timeout} ms` }
  }
}

/** The same for a program that one of our dependencies installs. */
export function runTool(name: string, args: string[], options?: CommandOptions): Promise<CommandResult> {
  return runCommand(join(ROOT, 'node_modules/.bin', name), args, options)
}

import { access, chmod, constants, mkdtemp, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { inject } from 'vitest'
import { runCommand } from '../support/run-command.js'
import type { Block } from './markdown.js'

const NAMES = ['redis-cli', 'valkey-cli']
const END_OF_STEP = '-- the end of one command --'

export interface Step {
  readonly command: string
  /** What the page shows of its output. */
  readonly shown: string
}

/** A command line client: the one beside the server that the tests use, or the one installed. */
export async function findRedisCli(): Promise<string | undefined> {
  const { kind, bin } = inject('redisServer')
  const folders = [...(kind === 'real' ? [dirname(bin)] : []), ...(process.env.PATH ?? '').split(delimiter)]
  for (const folder of folders.filter(Boolean)) {
    for (const name of NAMES) {
      const path = join(folder, name)
      const usable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (usable && (await runCommand(path, ['--version'], { env: environment() })).code === 0) return path
    }
  }
  return undefined
}

/** The lines after a `$ `, each with the lines that follow it. */
export function stepsOf({ code }: Block): Step[] {
  return code
    .split(/^\$ /m)
    .slice(1)
    .map(text => {
      const [command = '', ...shown] = text.split('\n')
      return { command, shown: normal(shown.join('\n')) }
    })
}

/** What the commands print, one after the other in one shell in which `redis-cli` leads to this port. */
export async function runSteps(steps: readonly Step[], cli: string, port: number): Promise<string[]> {
  const folder = await mkdtemp(join(inject('runDirectory'), 'shell-'))
  const program = join(folder, 'redis-cli')
  await writeFile(program, `#!/bin/sh\nexec '${cli}' -p ${port} "$@"\n`)
  await chmod(program, 0o755)
  const script = steps.map(({ command }) => `${command}\necho '${END_OF_STEP}'\n`).join('')
  const { output } = await runCommand('sh', ['-c', `exec 2>&1\n${script}`], {
    env: { ...environment(), PATH: `${folder}${delimiter}${process.env.PATH}` },
    timeout: 15_000,
  })
  return output.split(`${END_OF_STEP}\n`).slice(0, -1).map(normal)
}

/** Without what differs from run to run: numbers of two digits and more, and those of uptime and of calls. */
function normal(output: string): string {
  return output
    .replaceAll('\r', '')
    .replaceAll(/\b\d{2,}\b|(?<=_seconds:|calls=)\d+/g, '<number>')
    .replace(/\n+$/, '')
}

function environment(): NodeJS.ProcessEnv {
  const { libraryPath } = inject('redisServer')
  return libraryPath === undefined ? process.env : { ...process.env, LD_LIBRARY_PATH: libraryPath }
}

import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { inject } from 'vitest'
import { ROOT, runCommand } from '../support/run-command.js'

const UNREACHABLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED/

/** Copies a fixture, installs the packed package and `others` (in the versions we test with) into it, and answers with its folder. */
export async function installConsumer(fixture: string, tarball: string, others: string[]): Promise<string> {
  const folder = await mkdtemp(join(inject('runDirectory'), `${fixture}-`))
  await cp(join(import.meta.dirname, 'fixtures', fixture), folder, { recursive: true })
  await cp(tarball, join(folder, basename(tarball)))

  const ours = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const versions: Record<string, string> = { ...ours.devDependencies, ...ours.dependencies }
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  manifest.dependencies = { [ours.name]: `file:./${basename(tarball)}` }
  for (const name of others) {
    const version = versions[name]
    if (!version) throw new Error(`Our package.json names no version of ${name}.`)
    manifest.dependencies[name] = version
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest, null, 2))

  const args = [
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
    '--fetch-retries=1',
  ]
  const { code, output } = await runCommand('npm', args, {
    cwd: folder,
    env: plainEnvironment(),
    timeout: 240_000,
  })
  if (code !== 0 && UNREACHABLE.test(output)) {
    throw new Error(
      'npm cannot reach the package registry, so nobody could install the package to try it out.',
      {
        cause: output,
      },
    )
  }
  if (code !== 0) throw new Error(`npm install failed in the ${fixture}:\n${output}`)
  return folder
}

/** Without what `npm test` says about itself: the install belongs to another project. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const foreign =
    /^(npm_(package|lifecycle|command|execpath|node_execpath)|npm_config_(local_prefix|prefix)$|INIT_CWD$|NODE_ENV$|NODE_OPTIONS$|VITEST)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

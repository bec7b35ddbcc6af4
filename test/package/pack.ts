import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT, runCommand, runTool } from '../support/run-command.js'

/** Packs what would be published into `folder` and answers with the path of the tarball. */
export async function pack(folder: string): Promise<string> {
  await ensureBuilt()
  // The script that builds before packing would rewrite dist while another test reads it.
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const { code, stdout, output } = await runCommand('npm', args)
  const filename = /"filename": "(.+\.tgz)"/.exec(stdout)?.[1]
  if (code !== 0 || !filename) throw new Error(`npm pack failed:\n${output}`)
  return join(folder, filename)
}

/** `npm test` builds before it runs; without it dist may be missing. */
async function ensureBuilt(): Promise<void> {
  const dist = join(ROOT, 'dist')
  if (await exists(dist)) return
  await mkdir(join(ROOT, '.cache'), { recursive: true })
  // Only a complete dist ever gets that name, and whichever of two tests comes first wins.
  const scratch = await mkdtemp(join(ROOT, '.cache/dist-'))
  try {
    const { code, output } = await runTool('tsc', ['-p', 'tsconfig.build.json', '--outDir', scratch])
    if (code !== 0) throw new Error(`The build failed:\n${output}`)
    await rename(scratch, dist).catch(async error => {
      if (!(await exists(dist))) throw error
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

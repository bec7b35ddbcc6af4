import { execFile } from 'node:child_process'
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const PACKAGES = ['redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']
const DOWNLOAD_TIMEOUT = 45_000
const UPDATE_TIMEOUT = 90_000

export interface UnpackedRedisServer {
  bin: string
  libraryPath: string
}

/** Unpacks a redis-server from the system's own packages into `folder`; needs neither root nor an installation. */
export async function unpackRedisServer(folder: string): Promise<UnpackedRedisServer> {
  if (!(await exists(binaryIn(folder)))) {
    if (process.platform !== 'linux') throw new Error('unpacking one needs a Debian-like Linux')
    await mkdir(dirname(folder), { recursive: true })
    const scratch = await mkdtemp(`${folder}-`)
    try {
      await unpackInto(scratch)
      // Only a complete folder ever gets the final name, and whichever of two runs comes first wins.
      await rename(scratch, folder).catch(async error => {
        if (!(await exists(binaryIn(folder)))) throw error
      })
    } finally {
      await rm(scratch, { recursive: true, force: true })
    }
  }
  return { bin: binaryIn(folder), libraryPath: await libraryPathIn(folder) }
}

function binaryIn(folder: string): string {
  return join(folder, 'usr/bin/redis-server')
}

async function unpackInto(folder: string): Promise<void> {
  const downloads = join(folder, 'downloads')
  await mkdir(downloads)
  await download(downloads)
  for (const file of await readdir(downloads)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(downloads, file), folder])
  }
  await rm(downloads, { recursive: true })
  // One program under several names: it decides by the name it is called with. The package with the
  // server's name holds little more than the service files, and depends on this one.
  await symlink('redis-check-rdb', binaryIn(folder))
  await chmod(folder, 0o755)
}

async function download(downloads: string): Promise<void> {
  const options = ['-q', '-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=15']
  const fetch = (more: string[]) =>
    run('apt-get', [...options, ...more, 'download', ...PACKAGES], {
      cwd: downloads,
      timeout: DOWNLOAD_TIMEOUT,
    })
  try {
    await fetch([])
    return
  } catch (error) {
    if (isMissingProgram(error)) throw new Error('there is no apt-get to unpack one with', { cause: error })
  }
  // The system's package lists are absent or stale, and only root may renew those.
  const own = join(downloads, 'apt')
  await mkdir(join(own, 'lists/partial'), { recursive: true })
  await mkdir(join(own, 'cache/archives/partial'), { recursive: true })
  const ownLists = ['-o', `Dir::State::lists=${own}/lists`, '-o', `Dir::Cache=${own}/cache`]
  try {
    await run('apt-get', [...options, ...ownLists, 'update'], { timeout: UPDATE_TIMEOUT })
    await fetch(ownLists)
  } catch (error) {
    throw new Error('the packages to unpack one from could not be downloaded', { cause: error })
  }
}

async function libraryPathIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const folders = entries.filter(entry => /\.so(\.|$)/.test(entry.name)).map(entry => entry.parentPath)
  return [...new Set(folders)].join(':')
}

function isMissingProgram(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, inject, it } from 'vitest'
import { ROOT, runCommand, runTool } from '../support/run-command.js'
import { pack } from './pack.js'

let tarball: string

beforeAll(async () => {
  tarball = await pack(await mkdtemp(join(inject('runDirectory'), 'package-')))
}, 120_000)

it('is a well-formed package', async () => {
  const { code, output } = await runTool('publint', ['run', tarball, '--strict'])
  expect(code, output).toBe(0)
}, 60_000)

it('has types that agree with what is loaded, for every way to import an ESM package', async () => {
  const { code, output } = await runTool('attw', [
    tarball,
    '--profile',
    'esm-only',
    '--no-definitely-typed',
    '--no-emoji',
  ])
  expect(code, output).toBe(0)
}, 60_000)

it('packs what runs and its sources, and nothing of the tests', async () => {
  const { stdout } = await runCommand('tar', ['-tzf', tarball])
  const files = stdout
    .trim()
    .split('\n')
    .map(file => file.replace(/^package\//, ''))
  expect(files).toContain('package.json')
  expect(files).toContain('dist/index.js')
  expect(files).toContain('dist/index.d.ts')
  expect(files).toContain('src/index.ts')
  expect(files.filter(file => /(^|\/)(test|examples|benchmarks|node_modules)\//.test(file))).toEqual([])
})

interface LockEntry {
  resolved?: string
  optionalDependencies?: Record<string, string>
}

async function readLock(): Promise<Record<string, LockEntry>> {
  return JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')).packages
}

it('installs from whatever registry is configured: the lock file names no addresses', async () => {
  const named = Object.entries(await readLock()).filter(([, entry]) => entry.resolved)
  expect(named.map(([path]) => path)).toEqual([])
})

it('installs on every platform: the lock file leaves out no optional package', async () => {
  // A registry that lacks one when the lock file is written has npm leave it out, and npm ci then refuses.
  const lock = await readLock()
  const missing = Object.entries(lock).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(name => !placesFor(name, path).some(place => place in lock)),
  )
  expect(missing).toEqual([])
})

/** Where a package at `path` may find another: in its own folder, or in one further up. */
function placesFor(name: string, path: string): string[] {
  const folders = path.split(/\/?node_modules\//)
  return folders.map((_, depth) =>
    [...folders.slice(1, depth + 1), name].map(part => `node_modules/${part}`).join('/'),
  )
}

it('names no package registry in any tracked file', async () => {
  // In pieces, or this file would be the one to name them.
  const hosts = [
    ['registry', 'npmjs', 'org'],
    ['registry', 'yarnpkg', 'com'],
    ['registry', 'npmmirror', 'com'],
    ['npm', 'pkg', 'github', 'com'],
    ['npm', 'jsr', 'io'],
  ].map(parts => parts.join('.'))
  const { stdout: configured } = await runCommand('npm', ['config', 'get', 'registry'])
  const own = /https?:\/\/([^/\s:]+)/.exec(configured)?.[1]
  if (own) hosts.push(own)

  const tracked = await runCommand('git', ['-c', 'safe.directory=*', 'ls-files', '-z'])
  expect(tracked.code, tracked.output).toBe(0)
  const findings: string[] = []
  for (const file of tracked.stdout.split('\0').filter(Boolean)) {
    // A file deleted but not yet committed is still tracked.
    const text = await readFile(join(ROOT, file), 'utf8').catch(() => '')
    for (const host of hosts) if (text.includes(host)) findings.push(`${file}: names ${host}`)
  }
  expect(findings).toEqual([])
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

/** Runs vitest with this reporter over one test file, and answers with how that ended. */
async function runOver(source: string, config = ''): Promise<{ lastLine: string; code: number }> {
  await mkdir(join(ROOT, '.cache'), { recursive: true })
  // Inside the checkout, so that the file finds vitest.
  const folder = await mkdtemp(join(ROOT, '.cache/summary-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const reporter = join(import.meta.dirname, 'summary-reporter.ts')
  await writeFile(
    join(folder, 'vitest.config.mjs'),
    `export default { test: { reporters: ['default', ${JSON.stringify(reporter)}], ${config} } }`,
  )
  await writeFile(
    join(folder, 'a.test.js'),
    `import { afterAll, beforeAll, expect, it } from 'vitest'\n${source}`,
  )
  const child = spawn(
    process.execPath,
    [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [code] = await once(child, 'close')
  expect(output.endsWith('\n')).toBe(true)
  return { lastLine: output.trimEnd().split('\n').at(-1) ?? '', code }
}

it('counts what passed', async () => {
  const { lastLine, code } = await runOver(`it('a', () => {}); it('b', () => {})`)
  expect({ lastLine, code }).toEqual({ lastLine: '2 passed, 0 failed', code: 0 })
})

it('counts what failed, and what was skipped if anything was', async () => {
  const { lastLine, code } = await runOver(
    `it('a', () => {}); it('b', () => expect(1).toBe(2)); it.skip('c', () => {})`,
  )
  expect({ lastLine, code }).toEqual({ lastLine: '1 passed, 1 failed, 1 skipped', code: 1 })
})

it('counts an error nobody handled as a failure', async () => {
  const { lastLine, code } = await runOver(`it('a', () => { Promise.reject(new Error('nobody')) })`)
  expect({ lastLine, code }).toEqual({ lastLine: '1 passed, 1 failed', code: 1 })
})

it('counts a failing hook and a failing import as failures', async () => {
  const hook = await runOver(`beforeAll(() => { throw new Error('hook') }); it('a', () => {})`)
  expect(hook).toEqual({ lastLine: '0 passed, 1 failed, 1 skipped', code: 1 })
  const load = await runOver(`throw new Error('import')`)
  expect(load).toEqual({ lastLine: '0 passed, 1 failed', code: 1 })
})

it('says at least one failure when the run fails outside of all tests', async () => {
  const { lastLine, code } = await runOver(`it('a', () => {})`, `globalSetup: './nowhere.js'`)
  expect({ lastLine, code }).toEqual({ lastLine: '0 passed, 1 failed', code: 1 })
})

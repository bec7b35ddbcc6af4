import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { runCommand, runTool } from '../support/run-command.js'
import { defences } from './defences.js'

const ROOT = join(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'node_modules/.cache/simulation/test/simulation/main.js')

/** Compiled, it is several times as fast. */
beforeAll(async () => {
  const { code, output } = await runTool('tsc', ['-p', 'test/simulation/tsconfig.json'])
  expect(output).toBe('')
  expect(code).toBe(0)
}, 300_000)

function simulate(...args: string[]) {
  return runCommand(process.execPath, [MAIN, ...args], { cwd: ROOT, timeout: 580_000 })
}

it('no promise is broken, whatever goes wrong', { timeout: 300_000 }, async () => {
  const { code, output } = await simulate('--seeds', '2000')
  expect(output).toContain('No promise was broken.')
  expect(code).toBe(0)
})

// What the first million seeds have found, in the product, in the simulation and in the checker.
it.each([232162, 416225, 664472, 885760])('seed %d breaks no promise any more', async seed => {
  const { code, output } = await simulate('--seed', String(seed))
  expect(code, output).toBe(0)
})

it('a seed decides everything', { timeout: 120_000 }, async () => {
  const [once, again] = await Promise.all([simulate('--seed', '42'), simulate('--seed', '42')])
  const withoutIds = (text: string) => text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'an id')
  expect(withoutIds(once.stdout)).toBe(withoutIds(again.stdout))
  expect(once.stdout.split('\n').length).toBeGreaterThan(50)
})

describe('a defence that is taken away is missed', () => {
  const noticed = defences.filter(({ unnoticed }) => !unnoticed)

  it('all of them but those that say why not', { timeout: 600_000 }, async () => {
    const { code, stdout, output } = await simulate('--without', 'all', '--seeds', '6000')
    expect(output).not.toContain('not noticed')
    expect(stdout.trim().split('\n')).toHaveLength(noticed.length)
    expect(code).toBe(0)
  })
})

it('what breaks a promise is told without what it does not take', { timeout: 120_000 }, async () => {
  const shortest = await simulate('--without', 'a destroy tells the others', '--seed', '2', '--shrink')
  expect(shortest.code).toBe(1)
  const [, leftOut, planned] = /Left out: (\d+) of the (\d+)/.exec(shortest.stdout) ?? []
  // Somebody has saved it, somebody read it there, somebody destroyed it here, and it was read again.
  expect(Number(planned) - Number(leftOut)).toBeLessThan(8)
})

it('says in one line what it does not take', async () => {
  const { code, output } = await simulate('--seeds', 'many')
  expect([code, output.trim()]).toEqual([2, "--seeds: got 'many', allowed is a whole number above zero"])
})

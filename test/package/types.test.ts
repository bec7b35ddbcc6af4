import { expect, it } from 'vitest'
import { runTool } from '../support/run-command.js'

it('everything type-checks', async () => {
  const { code, output } = await runTool('tsc', ['-p', 'tsconfig.json'])
  expect(output).toBe('')
  expect(code).toBe(0)
}, 300_000)

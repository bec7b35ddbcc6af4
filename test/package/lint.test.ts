import { expect, it } from 'vitest'
import { runTool } from '../support/run-command.js'

it('everything is formatted and passes the linter', async () => {
  const { code, output } = await runTool('biome', ['check', '.'])
  expect(code, output).toBe(0)
}, 60_000)

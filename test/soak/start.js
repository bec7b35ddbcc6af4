// @ts-check
// npm run soak -- --minutes 10
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const HELP = `npm run soak -- [options]

  --minutes 10        for how long
  --write             writes what it has found into docs/reliability.md
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(HELP)
  process.exit()
}
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 10_080)) {
  console.error(`--minutes: got '${values.minutes}', allowed is a number above 0, up to 10080 (a week)`)
  process.exit(2)
}
const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')
spawn(process.execPath, [vitest, 'run', 'test/soak'], {
  stdio: 'inherit',
  env: { ...process.env, SOAK_MINUTES: String(minutes), ...(values.write && { WRITE_SOAK: '1' }) },
}).once('exit', code => process.exit(code ?? 1))

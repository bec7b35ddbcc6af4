// Runs the store on a simulated Redis in trouble, again and again: npm run simulate -- --help
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Defence, defences } from './defences.js'
import { runSeed } from './run-seed.js'
import { shrink } from './shrink.js'
import { summaryOf } from './summary.js'
import { count, emptyTally, merge, type Tally } from './tally.js'
import { foundWithout, withoutDefence } from './without-defence.js'

const HELP = `npm run simulate -- [options]

  --seeds 10000       how many runs
  --from 1            the first seed
  --seed 42           one run, told step by step
  --shrink            the same, without all that could be left out and a promise still be broken
  --without all       takes away each defence, and says after how many seeds that is noticed; or one, by its name;
                      with --seed one run without it
  --write             writes the summary into docs/simulation.md
`
/** After so many seeds a worker says how far it is. */
const TOLD_EVERY = 50

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    without: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    /** A worker: runs its part, and tells who has started it. */
    part: { type: 'boolean', default: false },
    /** Ends with the first seed in which a promise is broken. */
    untilBroken: { type: 'boolean', default: false },
  },
})
const from = wholeNumber('from')
const seeds = wholeNumber('seeds')

if (values.help) console.log(HELP)
else if (values.seed !== undefined && values.without !== undefined) await tellWithout(values.without)
else if (values.seed !== undefined) await tellOne(wholeNumber('seed'))
else if (values.part) await runPart()
else if (values.without !== undefined) await takeAway(values.without)
else await runAll()

function wholeNumber(name: 'from' | 'seeds' | 'seed'): number {
  const number = Number(values[name])
  if (Number.isSafeInteger(number) && number > 0) return number
  console.error(`--${name}: got '${values[name]}', allowed is a whole number above zero`)
  process.exit(2)
}

async function tellOne(seed: number): Promise<void> {
  const leftOut = values.shrink ? await shrink(seed) : new Set<number>()
  const run = await runSeed(seed, { trace: line => console.log(line), leftOut })
  const { broken, faults, planned } = run
  if (values.shrink) console.log(`\nLeft out: ${leftOut.size} of the ${planned} that it has.`)
  console.log(faults.length === 0 ? '\nNothing went wrong.' : `\nWhat went wrong:\n${faults.join('\n')}`)
  console.log(broken.length === 0 ? '\nEvery promise was kept.' : `\nBroken promises:\n${broken.join('\n')}`)
  process.exitCode = broken.length === 0 ? 0 : 1
}

async function runPart(): Promise<void> {
  let tally = emptyTally()
  let began = performance.now()
  const tell = () => {
    tally.milliseconds = performance.now() - began
    process.send?.(tally)
    tally = emptyTally()
    began = performance.now()
  }
  for (let seed = from; seed < from + seeds; seed++) {
    count(tally, await runSeed(seed))
    if (tally.seeds === TOLD_EVERY) tell()
    if (values.untilBroken && tally.brokenSeeds > 0) break
  }
  tell()
  process.disconnect()
}

async function runAll(): Promise<void> {
  const workers = Math.min(availableParallelism(), Math.ceil(seeds / TOLD_EVERY))
  const each = Math.ceil(seeds / workers)
  const tally = emptyTally()
  const began = performance.now()
  await Promise.all(
    Array.from({ length: workers }, async (_, index) => {
      const first = from + index * each
      const own = Math.min(each, from + seeds - first)
      const part = ['--part', '--from', String(first), '--seeds', String(own)]
      const child = fork(join(import.meta.dirname, 'main.js'), part, { execArgv: ['--expose-gc'] })
      child.on('message', message => {
        merge(tally, message as Tally)
        tellProgress(tally.seeds, began)
      })
      const [code] = await once(child, 'exit')
      if (code !== 0) throw new Error(`A worker ended with ${code}`)
    }),
  )
  tally.milliseconds = performance.now() - began
  process.stderr.write('\n')
  const summary = summaryOf(tally, from)
  console.log(summary)
  if (values.write) await writeFile(join(process.cwd(), 'docs/simulation.md'), summary)
  process.exitCode = tally.brokenSeeds === 0 ? 0 : 1
}

function chosenBy(what: string): Defence[] {
  const chosen = defences.filter(({ name, unnoticed }) => (what === 'all' ? !unnoticed : name === what))
  if (chosen.length === 0) {
    const names = defences.map(({ name }) => `  ${name}`).join('\n')
    console.error(`--without: got '${what}', allowed is 'all' or one of\n${names}`)
    process.exit(2)
  }
  return chosen
}

async function tellWithout(what: string): Promise<void> {
  await using copy = await withoutDefence(chosenBy(what)[0] as Defence)
  const args = ['--seed', String(wholeNumber('seed')), ...(values.shrink ? ['--shrink'] : [])]
  const [code] = await once(fork(copy.main, args), 'exit')
  process.exitCode = code as number
}

async function takeAway(what: string): Promise<void> {
  const waiting = chosenBy(what)
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const found = await foundWithout(next, { from, seeds })
      if (!found) process.exitCode = 1
      console.log(
        `${found ? `seed ${found.seed}` : `not noticed in ${seeds} seeds`}: ${next.name}${found ? ` (${found.promise})` : ''}`,
      )
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
}

function tellProgress(done: number, began: number): void {
  if (!process.stderr.isTTY && done % 10_000 !== 0) return
  const seconds = (performance.now() - began) / 1000
  const filled = Math.round((30 * done) / seeds)
  const bar = '#'.repeat(filled).padEnd(30, '.')
  process.stderr.write(`\r[${bar}] ${done} of ${seeds} seeds, ${Math.round(done / seconds)} a second `)
}

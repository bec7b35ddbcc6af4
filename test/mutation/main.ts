// Changes the code, one change at a time, and says which changes nothing notices: npm run mutate -- --help
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { mutatedFiles } from './mutated-files.js'
import { keyOf, mutationsOf } from './mutations-of.js'
import { summaryOf } from './summary.js'
import { survivors } from './survivors.js'
import { type Tried, tryAll } from './try-all.js'

const HELP = `npm run mutate -- [options]

  --file src/cache/   only files whose path begins so; with --write the page is about them alone
  --workers 2         how many processes
  --verbose           tells what became of each mutation
  --write             writes the summary into docs/mutation.md
`

const { values } = parseArgs({
  options: {
    file: { type: 'string', default: '' },
    workers: { type: 'string', default: String(availableParallelism()) },
    verbose: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(HELP)
else await run()

async function run(): Promise<void> {
  const files = mutatedFiles.filter(file => file.startsWith(values.file))
  const sources = await Promise.all(files.map(file => readFile(file, 'utf8')))
  const mutations = files.flatMap((file, index) => mutationsOf(file, sources[index] as string))
  const began = performance.now()
  const tried = await tryAll(mutations, Number(values.workers), tell)
  const minutes = (performance.now() - began) / 60_000

  const explained = new Set(survivors.map(keyOf))
  const survived = new Set(
    tried.filter(({ kind }) => kind === 'survived').map(({ mutation }) => keyOf(mutation)),
  )
  const unexplained = tried.filter(
    ({ kind, mutation }) => kind === 'survived' && !explained.has(keyOf(mutation)),
  )
  const outdated = survivors.filter(each => files.includes(each.file) && !survived.has(keyOf(each)))
  const summary = summaryOf(tried, minutes)
  console.log(summary)
  for (const { mutation } of unexplained) console.log(`Not noticed, nor explained:\n${keyOf(mutation)}\n`)
  for (const each of outdated) console.log(`Explained, but noticed or gone:\n${keyOf(each)}\n`)
  if (values.write) await writeFile('docs/mutation.md', summary)
  process.exitCode = unexplained.length + outdated.length === 0 ? 0 : 1
}

function tell({ mutation, kind, by = '' }: Tried): void {
  if (values.verbose && kind !== 'refused') console.log(`${kind} ${by}\n${keyOf(mutation)}\n`)
}

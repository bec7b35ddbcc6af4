import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Defence } from './defences.js'
import type { Tally } from './tally.js'

/** Of the compiled code, sources and tests. */
const ROOT = join(import.meta.dirname, '../..')

let copies = 0

/** Runs a copy of the code without a defence, until a promise is broken. */
export async function foundWithout(
  { name, file, defended, defenceless }: Defence,
  { from, seeds }: { from: number; seeds: number },
): Promise<{ seed: number; promise: string } | undefined> {
  const copy = `${ROOT}-without-${process.pid}-${++copies}`
  await cp(ROOT, copy, { recursive: true })
  try {
    const path = join(copy, file)
    const code = await readFile(path, 'utf8')
    if (code.split(defended).length !== 2)
      throw new Error(`${file} does not have, once, what is to be taken away: ${name}`)
    await writeFile(
      path,
      code.replace(defended, () => defenceless),
    )
    const args = ['--part', '--untilBroken', '--from', String(from), '--seeds', String(seeds)]
    const child = fork(join(copy, 'test/simulation/main.js'), args)
    let found: Tally['broken'][number] | undefined
    child.on('message', message => {
      found ??= (message as Tally).broken[0]
    })
    const [exit] = await once(child, 'exit')
    // To end by an error is to be noticed, too; but then it is not known by which seed.
    if (exit !== 0) throw new Error(`Without this defence the simulation ended with ${exit}: ${name}`)
    return found && { seed: found.seed, promise: String(found.promises[0]).replace(/:.*/s, '') }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

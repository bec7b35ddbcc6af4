import { CompiledCopy } from './compiled-copy.js'
import type { Defence } from './defences.js'

/** A copy of the code in which a defence is missing. */
export async function withoutDefence({ name, file, defended, defenceless }: Defence): Promise<CompiledCopy> {
  const copy = await CompiledCopy.make()
  const code = await copy.read(file)
  if (code.split(defended).length !== 2) {
    await copy[Symbol.asyncDispose]()
    throw new Error(`${file} does not have, once, what is to be taken away: ${name}`)
  }
  await copy.write(
    file,
    code.replace(defended, () => defenceless),
  )
  return copy
}

/** Runs it without the defence, until a promise is broken. */
export async function foundWithout(
  defence: Defence,
  seeds: { from: number; seeds: number },
): Promise<{ seed: number; promise: string } | undefined> {
  await using copy = await withoutDefence(defence)
  const { exit, broken } = await copy.untilBroken(seeds)
  if (exit !== 0) throw new Error(`Without this defence the simulation ended with ${exit}: ${defence.name}`)
  return broken && { seed: broken.seed, promise: String(broken.promises[0]).replace(/:.*/s, '') }
}

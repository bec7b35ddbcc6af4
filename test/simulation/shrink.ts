import { runSeed } from './run-seed.js'

/**
 * What can be left out of a seed that breaks a promise so that it is still broken, by the numbers of what is asked and of what
 * goes wrong. In halves first, then in ever smaller parts, until nothing more can.
 */
export async function shrink(seed: number): Promise<ReadonlySet<number>> {
  const { broken, planned } = await runSeed(seed)
  const promises = new Set(broken.map(promiseOf))
  const isStillBroken = async (leftOut: ReadonlySet<number>) =>
    (await runSeed(seed, { leftOut })).broken.some(each => promises.has(promiseOf(each)))
  let leftOut: ReadonlySet<number> = new Set()
  if (broken.length === 0) return leftOut
  for (let part = Math.ceil(planned / 2); part >= 1; ) {
    const before = leftOut.size
    for (let first = 0; first < planned; first += part) {
      const more = new Set([...leftOut, ...Array.from({ length: part }, (_, each) => first + each)])
      if (more.size > leftOut.size && (await isStillBroken(more))) leftOut = more
    }
    if (part > 1) part = Math.ceil(part / 2)
    else if (leftOut.size === before) break
  }
  return leftOut
}

function promiseOf(breach: string): string {
  return breach.replace(/:.*/s, '')
}

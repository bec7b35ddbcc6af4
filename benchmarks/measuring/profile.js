// @ts-check
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from '../servers/temporary-directory.js'

/** µs between two looks at what a process does. */
const INTERVAL = 250

/**
 * @typedef {object} Profile as V8 writes it
 * @property {{ id: number, callFrame: { functionName: string, url: string } }[]} nodes
 * @property {number[]} samples
 * @property {number[]} timeDeltas
 * @property {number} startTime µs, by the clock that all processes share
 */

/** A place for the profile of one process, which it writes when it ends. */
export function profileTo() {
  const { path, remove } = temporaryDirectory()
  return {
    options: ['--cpu-prof', `--cpu-prof-interval=${INTERVAL}`, `--cpu-prof-dir=${path}`],
    /** @returns {Promise<Profile>} */
    async read() {
      const [file] = await readdir(path)
      if (!file) throw new Error('The process has left no profile')
      const profile = JSON.parse(await readFile(join(path, file), 'utf8'))
      remove()
      return profile
    },
  }
}

/** Now, as a profile counts. */
export function profileClock() {
  return Number(process.hrtime.bigint() / 1_000n)
}

/**
 * How the time between two moments was shared, by what `placeOf` says of each function; what it says nothing of does not count.
 *
 * @param {Profile} profile
 * @param {{ from: number, to: number }} between
 * @param {(functionName: string, url: string) => string | undefined} placeOf
 * @returns {Map<string, number>} that add up to one
 */
export function sharesOf({ nodes, samples, timeDeltas, startTime }, { from, to }, placeOf) {
  const places = new Map(
    nodes.map(({ id, callFrame }) => [id, placeOf(callFrame.functionName, callFrame.url)]),
  )
  /** @type {Map<string, number>} */
  const times = new Map()
  let now = startTime
  for (const [index, id] of samples.entries()) {
    now += timeDeltas[index] ?? 0
    const place = places.get(id)
    if (place === undefined || now < from || now > to) continue
    times.set(place, (times.get(place) ?? 0) + (timeDeltas[index] ?? 0))
  }
  const all = [...times.values()].reduce((one, two) => one + two, 0)
  return new Map([...times].map(([place, time]) => [place, time / all]))
}

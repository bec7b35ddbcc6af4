// @ts-check
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { machine } from './machine.js'

const HERE = new URL('.', import.meta.url)

/** When and of what a run was, where, and with which versions: of the code only where it is under git. */
export async function stampOfRun() {
  const described = promisify(execFile)('git', ['describe', '--always', '--dirty', '--exclude=*'], {
    cwd: HERE,
  })
  const commit = await described.then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
  return { date: new Date().toISOString().slice(0, 16).replace('T', ' '), commit, ...(await machine()) }
}

/** @typedef {Awaited<ReturnType<typeof stampOfRun>>} Stamp */

/** @param {Stamp} stamp */
export function momentOf({ date, commit }) {
  return `Measured on ${date} UTC${commit ? `, commit ${commit}` : ''}`
}

/** @param {Stamp} stamp */
export function surroundingsOf({ hardware, node, redis, packages }) {
  const { processor, cores, memory } = hardware
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`)
  return `${processor}, ${cores} cores for all of it, ${memory}. Node ${node}, Redis ${redis}, ${versions.join(', ')}`
}

// @ts-check
import { fork, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { tmpdir } from 'node:os'

const STOPS_WITHIN = 5_000

/** In groups of their own, so that Ctrl-C reaches only this process, which then stops the others in order. */
const detached = process.platform !== 'win32'

/**
 * The processes that the demo consists of. Emits `ended`, with a sentence and its name, if one ends that was not asked to.
 *
 * @extends {EventEmitter<{ ended: [string, string] }>}
 */
export class Processes extends EventEmitter {
  /** @type {{ name: string, child: import('node:child_process').ChildProcess, ended: Promise<unknown> }[]} */
  #started = []
  stopping = false

  /**
   * A Node program that sends `{ ready }` once it works, or `{ failed }` with the reason. It ends with this process at
   * the latest, for it notices that the channel to it is gone.
   *
   * @param {string} name
   * @param {URL} program
   * @param {Record<string, string>} [env]
   * @returns {Promise<unknown>} What it sent as `ready`.
   */
  fork(name, program, env = {}) {
    if (this.stopping) return new Promise(() => {})
    const child = fork(program, { detached, env: { ...process.env, ...env } })
    this.#watch(name, child)
    return new Promise((resolve, reject) => {
      child.on('message', (/** @type {{ ready?: unknown, failed?: string }} */ { ready, failed }) =>
        failed === undefined ? resolve(ready) : reject(new Error(failed)),
      )
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`${name} ended before it was ready.`)))
    })
  }

  /**
   * Any other program, which prints something once it is ready.
   *
   * @param {string} program
   * @param {string[]} args
   * @param {RegExp} ready
   * @returns {Promise<boolean>} False if there is no such program.
   */
  async spawn(program, args, ready) {
    if (this.stopping) return new Promise(() => {})
    const child = spawn(program, args, { detached, cwd: tmpdir(), stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(child, 'spawn')
    } catch {
      return false
    }
    this.#watch(program, child)
    await new Promise((resolve, reject) => {
      let output = ''
      child.stdout.setEncoding('utf8').on('data', text => {
        // Read to the end, so that the program never waits for somebody to read; but not kept.
        output = (output + text).slice(-2_000)
        if (ready.test(output)) resolve(undefined)
      })
      child.once('exit', () => reject(new Error(`${program} does not start. It says:\n${output}`)))
    })
    return true
  }

  /** The youngest first: Redis, which all others need, is the oldest. */
  async stop() {
    this.stopping = true
    for (const { name, child, ended } of this.#started.toReversed()) {
      child.kill('SIGTERM')
      const impatience = setTimeout(() => {
        console.error(`${name} does not stop, so it is killed.`)
        child.kill('SIGKILL')
      }, STOPS_WITHIN)
      await ended
      clearTimeout(impatience)
    }
  }

  /** At once, and without waiting. */
  kill() {
    for (const { child } of this.#started) child.kill('SIGKILL')
  }

  /**
   * @param {string} name
   * @param {import('node:child_process').ChildProcess} child
   */
  #watch(name, child) {
    const ended = new Promise(resolve => child.once('exit', resolve))
    this.#started.push({ name, child, ended })
    child.once('exit', (code, signal) => {
      if (!this.stopping)
        this.emit('ended', `${name} ended unexpectedly (${signal ?? `exit code ${code}`})`, name)
    })
  }
}

// @ts-check
// A process that does what it is asked and answers, and ends with the one that has started it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'

/**
 * @param {string} file one that calls `answerWith`
 * @param {readonly string[]} [args]
 * @param {string[]} [execArgv]
 */
export function startAsked(file, args = [], execArgv = []) {
  const child = fork(file, args, { execArgv })
  const ended = once(child, 'exit').then(
    ([code, signal]) => `${basename(file)} has ended with ${signal ?? code}`,
  )
  const heard = async () => {
    const told = await Promise.race([once(child, 'message'), ended])
    // Nobody would answer any more.
    if (typeof told === 'string') throw new Error(told)
    const { answer, failure } = /** @type {{ answer?: unknown, failure?: string }} */ (told[0])
    if (failure) throw new Error(failure)
    return answer
  }
  return {
    /** What it says by itself. */
    heard,
    /**
     * One question at a time.
     *
     * @param {unknown} question
     */
    ask(question) {
      child.send(/** @type {import('node:child_process').Serializable} */ (question))
      return heard()
    },
    async end() {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}

/** @param {(question: never) => unknown} answerTo */
export function answerWith(answerTo) {
  endWithStarter()
  process.on('message', async question => {
    try {
      say(await answerTo(/** @type {never} */ (question)))
    } catch (error) {
      process.send?.({ failure: error instanceof Error ? error.stack : String(error) })
    }
  })
}

/** What was not asked. @param {unknown} [answer] */
export function say(answer) {
  process.send?.({ answer })
}

/** The one that has started this process may be gone before it is ready. */
export function endWithStarter() {
  if (!process.connected) process.exit()
  process.once('disconnect', () => process.exit())
}

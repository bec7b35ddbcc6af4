// @ts-check

/**
 * What a process says when it is ready. One that ends instead is not waited for.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<unknown>}
 */
export function firstMessage(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('error', reject)
    child.once('exit', code =>
      reject(new Error(`${child.spawnargs.slice(1).join(' ')} has ended with ${code}`)),
    )
  })
}

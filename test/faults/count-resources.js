// @ts-check
import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'

v8.setFlagsFromString('--expose-gc')
/** @type {() => void} */
const collectGarbage = runInNewContext('gc')

/**
 * What a process holds on to, after everything that can be collected was.
 *
 * @param {readonly import('node:events').EventEmitter[]} emitters
 */
export async function countResources(emitters) {
  collectGarbage()
  // Finalizers run between two turns.
  await new Promise(resolve => setImmediate(resolve))
  collectGarbage()
  return {
    heap: process.memoryUsage().heapUsed,
    handles: process.getActiveResourcesInfo().filter(kind => kind !== 'Immediate' && kind !== 'Timeout')
      .length,
    timers: process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length,
    listeners: [process, ...emitters]
      .map(emitter => emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0))
      .reduce((sum, count) => sum + count, 0),
  }
}

// @ts-check
import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Requests of different users come each in a turn of the event loop of its own. Those of one turn a store may send to Redis
 * together, which would make them cheaper than they are.
 *
 * @param {number} count
 * @param {() => void} arrive
 */
export async function oneByOne(count, arrive) {
  for (let arrived = 0; arrived < count; arrived++) {
    arrive()
    // What is sent at the end of this turn is sent before the second.
    await nextTurn()
    await nextTurn()
  }
}

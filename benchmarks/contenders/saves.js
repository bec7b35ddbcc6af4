// @ts-check
import { load, save } from './deeds.js'

/**
 * What an app does with a session: it is read, and the same object is changed and saved. Only the save counts.
 *
 * @param {import('express-session').Store} store
 * @param {readonly string[]} sids
 */
export function savesOf(store, sids) {
  let number = 0
  let sid = ''
  /** @type {import('express-session').SessionData} */
  let session
  const changed = async (/** @type {string} */ sid) =>
    Object.assign(await load(store, sid), { changes: ++number })
  return {
    /** One at a time. */
    async prepare() {
      sid = /** @type {string} */ (sids[number % sids.length])
      session = await changed(sid)
    },
    run: () => save(store, sid, session),
    /** All of them: what saves them. */
    async together() {
      const sessions = await Promise.all(sids.map(async sid => ({ sid, session: await changed(sid) })))
      return () => Promise.all(sessions.map(({ sid, session }) => save(store, sid, session)))
    },
  }
}

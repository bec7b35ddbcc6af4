// @ts-check

/** @typedef {import('express-session').Store} Store */

/** What was read last, so that no reading is optimised away. @type {unknown} */
export let lastRead

/**
 * One after the other, each when the one before it was answered. A store that answers at once is not made to wait for a turn of
 * the event loop.
 *
 * @param {Store} store
 * @param {readonly string[]} sids
 */
export async function readEach(store, sids) {
  for (const sid of sids) {
    let answered = false
    /** @type {(() => void) | undefined} */
    let goOn
    /** @type {unknown} */
    let failure
    store.get(sid, (error, session) => {
      failure = error ?? (session ? undefined : new Error('There is no such session'))
      lastRead = session
      answered = true
      goOn?.()
    })
    if (!answered) {
      await new Promise(resolve => {
        goOn = () => resolve(undefined)
      })
    }
    if (failure) throw failure
  }
}

/**
 * Others may be under way, who load something else.
 *
 * @param {Store} store
 * @param {string} sid
 * @returns {Promise<import('express-session').SessionData>}
 */
export function load(store, sid) {
  return new Promise((resolve, reject) => {
    store.get(sid, (error, session) => {
      if (session) resolve(session)
      else reject(error ?? new Error('There is no such session'))
    })
  })
}

/**
 * @param {Store} store
 * @param {string} sid
 * @param {import('express-session').SessionData} session
 */
export function save(store, sid, session) {
  return new Promise((resolve, reject) => {
    store.set(sid, session, error => (error ? reject(error) : resolve(undefined)))
  })
}

const SAVED_AT_ONCE = 100

/**
 * The same under each of the ids, so many at once.
 *
 * @param {Store} store
 * @param {readonly string[]} sids
 * @param {import('express-session').SessionData} session
 */
export async function saveUnderEach(store, sids, session) {
  for (let from = 0; from < sids.length; from += SAVED_AT_ONCE) {
    await Promise.all(sids.slice(from, from + SAVED_AT_ONCE).map(sid => save(store, sid, session)))
  }
}

/**
 * All at once.
 *
 * @param {Store} store
 * @param {readonly string[]} sids
 */
export function readTogether(store, sids) {
  return Promise.all(sids.map(sid => readEach(store, [sid])))
}

/**
 * What express-session does with a request that changes nothing.
 *
 * @param {Store} store
 * @param {string} sid
 */
export async function passThrough(store, sid) {
  const session = await load(store, sid)
  lastRead = session
  session.cookie.expires = new Date(Date.now() + (session.cookie.originalMaxAge ?? 0))
  await new Promise((resolve, reject) => {
    // Its type knows no error.
    const touched = (/** @type {unknown[]} */ ...[error]) => (error ? reject(error) : resolve(undefined))
    if (store.touch) store.touch(sid, session, touched)
    else resolve(undefined)
  })
}

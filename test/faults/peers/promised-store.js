// @ts-check
import { Store } from 'express-session'

/**
 * @typedef {import('express-session').SessionData} SessionData
 *
 * @typedef {object} Deeds
 * @property {(sid: string) => Promise<SessionData | undefined>} get
 * @property {(sid: string, session: SessionData) => Promise<unknown>} set
 * @property {(sid: string) => Promise<unknown>} destroy
 */

/** What a cache can do with promises, as a store for express-session. No answer waits for a turn of the event loop. */
export class PromisedStore extends Store {
  /** @type {Deeds} */
  #deeds

  /** @param {Deeds} deeds */
  constructor(deeds) {
    super()
    this.#deeds = deeds
  }

  /**
   * @override
   * @param {string} sid
   * @param {(error: unknown, session?: SessionData | null) => void} callback
   */
  get(sid, callback) {
    this.#deeds.get(sid).then(
      session => process.nextTick(callback, null, session),
      error => process.nextTick(callback, error),
    )
  }

  /**
   * @override
   * @param {string} sid
   * @param {SessionData} session
   * @param {(error?: unknown) => void} [callback]
   */
  set(sid, session, callback) {
    tell(this.#deeds.set(sid, session), callback)
  }

  /**
   * @override
   * @param {string} sid
   * @param {(error?: unknown) => void} [callback]
   */
  destroy(sid, callback) {
    tell(this.#deeds.destroy(sid), callback)
  }

  /**
   * No cache can make an entry live longer but by writing it anew, which on every read would bring back what was destroyed since
   * and empty the memory of all others. So a session lives on from its last change.
   *
   * @override
   * @param {string} _sid
   * @param {SessionData} _session
   * @param {() => void} [callback]
   */
  touch(_sid, _session, callback) {
    if (callback) process.nextTick(callback)
  }
}

/**
 * @param {Promise<unknown>} promise
 * @param {(error?: unknown) => void} [callback]
 */
function tell(promise, callback = () => {}) {
  promise.then(
    () => process.nextTick(callback),
    error => process.nextTick(callback, error),
  )
}

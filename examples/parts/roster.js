// @ts-check
import { EventEmitter } from 'node:events'

/** @typedef {import('clustered-redis-store').ConnectionInfo} ConnectionInfo */

/**
 * The connections of all nodes, in memory: what their events say, and after anything that may have been missed, what Redis says.
 * Emits `changed`, and `reconciled` with an error or without.
 *
 * @extends {EventEmitter<{ changed: [], reconciling: [], reconciled: [error?: Error] }>}
 */
export class Roster extends EventEmitter {
  #cluster
  /** @type {Map<string, ConnectionInfo>} */
  #connections = new Map()
  /** What has happened while Redis was asked, by id; undefined for what has gone. @type {Map<string, ConnectionInfo | undefined>} */
  #news = new Map()

  /** @param {import('clustered-redis-store').SessionCluster} cluster */
  constructor(cluster) {
    super()
    this.#cluster = cluster
    const { connections } = cluster
    connections.on('attached', connection => this.#note(connection.id, connection))
    connections.on('bound', connection => this.#note(connection.id, connection))
    connections.on('detached', ({ id }) => this.#note(id, undefined))
    // The connections of a node that has died are gone. Each would be said to be, but all at once is sooner.
    cluster.on('node:down', () => void this.reconcile())
    // At the start, and whenever Redis was away.
    cluster.on('active', () => void this.reconcile())
    cluster.connections.on('missed', () => void this.reconcile())
  }

  /** @returns {ConnectionInfo[]} */
  all() {
    return [...this.#connections.values()]
  }

  /** @param {string} id */
  get(id) {
    return this.#connections.get(id)
  }

  async reconcile() {
    this.emit('reconciling')
    const news = new Map()
    this.#news = news
    try {
      const found = await this.#cluster.connections.reconcile()
      // Asked once more meanwhile: that answer is the newer one.
      if (this.#news !== news) return
      this.#connections = new Map(found.map(connection => [connection.id, connection]))
      for (const [id, connection] of news) this.#set(id, connection)
      this.emit('changed')
      this.emit('reconciled')
    } catch (error) {
      this.emit('reconciled', /** @type {Error} */ (error))
    }
  }

  /**
   * @param {string} id
   * @param {ConnectionInfo | undefined} connection
   */
  #note(id, connection) {
    this.#news.set(id, connection)
    this.#set(id, connection)
    this.emit('changed')
  }

  /**
   * @param {string} id
   * @param {ConnectionInfo | undefined} connection
   */
  #set(id, connection) {
    if (connection) this.#connections.set(id, connection)
    else this.#connections.delete(id)
  }
}

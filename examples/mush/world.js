// @ts-check

/** @typedef {import('clustered-redis-store').ConnectionInfo} ConnectionInfo */

/** Here your game checks a password, against what it has stored instead of it. */
const PLAYERS = [
  { id: 'P#1', name: 'Wizard', password: 'password' },
  { id: 'P#2', name: 'Guest', password: 'guest' },
]
/** @typedef {{ name: string, text: string, exits: Record<string, string> }} Room */
/** @type {Record<string, Room>} */
const ROOMS = {
  square: { name: 'Town Square', text: 'A fountain, and pigeons.', exits: { north: 'library' } },
  library: { name: 'Library', text: 'Books up to the ceiling.', exits: { south: 'square' } },
}
const START = 'square'

/** What players see and do. It keeps nothing of its own: who is who, and where, stands with the connections. */
export class World {
  #cluster
  #roster

  /**
   * @param {import('clustered-redis-store').SessionCluster} cluster
   * @param {import('../parts/roster.js').Roster} roster
   */
  constructor(cluster, roster) {
    this.#cluster = cluster
    this.#roster = roster
  }

  /**
   * @param {string} id Of the connection.
   * @param {string} line What was typed there.
   * @returns {Promise<string>} What is shown there.
   */
  async input(id, line) {
    const [verb = '', ...rest] = line.split(/\s+/)
    const connection = this.#roster.get(id) ?? (await this.#find(id))
    if (!connection) return 'The world does not know you yet. Try again in a moment.'
    if (verb === 'quit') {
      await this.#cluster.connections.close({ connection: id }, { reason: 'Goodbye.' })
      return ''
    }
    if (verb === 'connect') return this.#logIn(connection, rest)
    const player = PLAYERS.find(player => player.id === connection.userId)
    if (!player) return 'You are not logged in. Type "connect <name> <password>".'
    switch (verb) {
      case 'look':
        return this.#look(roomOf(connection))
      case 'go':
        return this.#go(connection, rest[0] ?? '')
      case 'say':
        await this.#tellRoom(connection, `${player.name} says, "${rest.join(' ')}"`)
        return `You say, "${rest.join(' ')}"`
      default:
        return 'Try: look, go <exit>, say <words>, quit.'
    }
  }

  /**
   * One that has come this moment; or this process has heard nothing for a while, and may have missed others, too.
   *
   * @param {string} id
   */
  async #find(id) {
    const found = await this.#cluster.connections.get(id)
    if (found) void this.#roster.reconcile()
    return found
  }

  /**
   * @param {ConnectionInfo} connection
   * @param {string[]} words
   */
  async #logIn({ id, userId }, [name = '', password]) {
    if (userId !== null) return 'You are logged in already.'
    const player = PLAYERS.find(player => player.name.toLowerCase() === name.toLowerCase())
    if (!player || player.password !== password) return 'There is no such player, or the password is wrong.'
    // The gateway does it, and everybody hears of it.
    const connection = await this.#cluster.connections.get(id)
    await connection?.setMeta('room', START)
    await connection?.bind(player.id)
    return `Hello, ${player.name}.\n${this.#look(START)}`
  }

  /** @param {string} room */
  #look(room) {
    const { name, text, exits } = /** @type {Room} */ (ROOMS[room] ?? ROOMS[START])
    const here = this.#roster.all().filter(each => each.userId !== null && roomOf(each) === room)
    const names = new Set(here.map(each => PLAYERS.find(({ id }) => id === each.userId)?.name))
    return `${name}\n${text}\nExits: ${Object.keys(exits).join(', ')}. Here: ${[...names].sort().join(', ')}.`
  }

  /**
   * @param {ConnectionInfo} connection
   * @param {string} exit
   */
  async #go(connection, exit) {
    const room = ROOMS[roomOf(connection)]?.exits[exit]
    if (!room) return 'There is no such exit.'
    const reference = await this.#cluster.connections.get(connection.id)
    await reference?.setMeta('room', room)
    return this.#look(room)
  }

  /**
   * @param {ConnectionInfo} speaker
   * @param {string} text
   */
  async #tellRoom(speaker, text) {
    const there = this.#roster.all().filter(each => each.userId !== null && roomOf(each) === roomOf(speaker))
    const others = there.filter(({ id }) => id !== speaker.id).map(({ id }) => id)
    if (others.length > 0) await this.#cluster.send({ connection: others }, text)
  }
}

/** @param {ConnectionInfo} connection */
function roomOf({ meta }) {
  return String(meta.room ?? START)
}

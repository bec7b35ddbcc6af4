// Wherever a process dies while it writes a connection, what it leaves is found by its row, and swept away to the last key.

import type { Cluster, Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { ConnectionDirectory } from '../../src/connections/connection-directory.js'
import { connectionId } from '../../src/connections/connection-id.js'
import { ConnectionSweep } from '../../src/connections/connection-sweep.js'
import { type Row, rowFrom } from '../../src/connections/row.js'
import { firstBoot, nextBoot, runOf } from '../../src/nodes/boot.js'
import { RegistryKeys } from '../../src/nodes/registry-keys.js'
import type { GuardedPort } from '../../src/redis/guarded-port.js'
import { IoredisPort } from '../../src/redis/ioredis-port.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { realRedis, startRedis } from '../support/redis-server.js'
import { freshNames } from './open-nodes.js'

class Crash extends Error {}

const clients: Record<string, Redis | Cluster> = {}

beforeAll(async () => {
  if (!realRedis()) return
  clients['one Redis'] = (await startRedis()).client()
  clients['Redis Cluster'] = (await startRedisCluster()).client()
})

/** The parts that write and sweep, each over a port of its own. */
function partsOn(client: Redis | Cluster) {
  const { keyPrefix } = freshNames()
  const port = new IoredisPort(client)
  const keys = new RegistryKeys(keyPrefix, port)
  const swept: string[] = []
  const events = { sweptMessage: (id: string) => `${swept.push(id)}` } as never
  const guarded = (before: (command: number) => void | Promise<void>) => {
    let commands = 0
    const run: GuardedPort['run'] = async (script, names, args) => {
      await before(++commands)
      return port.run(script, names, args)
    }
    return { isCluster: port.isCluster, run } as unknown as GuardedPort
  }
  const parts = (before: (command: number) => void | Promise<void> = () => {}) => {
    const guard = guarded(before)
    const directory = new ConnectionDirectory(guard, keys)
    return { directory, sweep: new ConnectionSweep({ port: guard, keys, directory, events }) }
  }
  const servers = 'nodes' in client ? client.nodes('master') : [client]
  /** Every key that stands, with what is in it. */
  const stored = async () => {
    const found = new Map<string, string[]>()
    for (const server of servers) {
      for (const key of await server.keys(`${keyPrefix}*`)) {
        const isSet = (await server.type(key)) === 'zset'
        found.set(key, isSet ? await server.zrange(key, '0', '-1') : Object.values(await server.hgetall(key)))
      }
    }
    return found
  }
  return { parts, stored, keys }
}

const crashAfter = (commands: number) => (command: number) => {
  if (command > commands) throw new Crash()
}

/** What becomes of a connection from its beginning to its end. */
function lifeOf(boot: string): (Row | undefined)[] {
  const row = (session: string | null, user: string | null): Row => ({
    boot,
    node: 'a',
    kind: 'fake',
    session: session === null ? null : { key: `sess:${session}`, id: session },
    user,
    meta: {},
    since: 1_800_000_000_000,
    was: [],
  })
  return [
    row('one', 'ada'),
    row('one', 'bob'),
    row('two', 'bob'),
    row(null, null),
    row('three', 'ada'),
    undefined,
  ]
}

describe.skipIf(!realRedis()).each(['one Redis', 'Redis Cluster'])('on %s', where => {
  /** Leads one connection through its life, until its process dies. */
  async function live(directory: ConnectionDirectory, boot: string): Promise<boolean> {
    const parts = { run: runOf(boot), number: '1' }
    const id = connectionId('a', parts)
    let before: Row | undefined
    for (const after of lifeOf(boot)) {
      try {
        await directory.write({ id, idParts: parts, before, after, anew: false, message: '' })
      } catch (error) {
        expect(error).toBeInstanceOf(Crash)
        return false
      }
      before = after
    }
    return true
  }

  it('a crash after any command leaves nothing that its row does not lead to, and a sweep leaves nothing at all', async () => {
    let commands = 0
    for (let over = false; !over; commands++) {
      const { parts, stored, keys } = partsOn(clients[where] as Redis)
      const boot = firstBoot()
      const { directory } = parts(crashAfter(commands))
      over = await live(directory, boot)
      const left = await stored()
      const [text] = left.get(keys.connectionsOf(runOf(boot))) ?? []
      const row = text === undefined ? undefined : rowFrom(text)
      const named = [...left.keys()].filter(key => !key.includes('{'))
      for (const set of named) expect(directory.setsOf(row), `${commands}: ${set}`).toContain(set)
      await parts().sweep.sweep(boot)
      expect([...(await stored()).keys()], `after ${commands} commands`).toEqual([])
    }
    // So many crashes were there to survive.
    expect(commands).toBeGreaterThan(where === 'one Redis' ? 5 : 20)
  })

  it('a crash after any command of a sweep leaves the rest to the next one', async () => {
    for (let commands = 0, over = false; !over; commands++) {
      const { parts, stored } = partsOn(clients[where] as Redis)
      const boot = firstBoot()
      const { directory } = parts()
      for (let number = 1; number <= 3; number++) {
        const place = { run: runOf(boot), number: String(number) }
        const [, after] = lifeOf(boot)
        const id = connectionId('a', place)
        await directory.write({ id, idParts: place, before: undefined, after, anew: false, message: '' })
      }
      over = await parts(crashAfter(commands))
        .sweep.sweep(boot)
        .then(
          () => true,
          error => {
            expect(error).toBeInstanceOf(Crash)
            return false
          },
        )
      await parts().sweep.sweep(boot)
      expect([...(await stored()).keys()], `after ${commands} commands`).toEqual([])
    }
  })

  /**
   * Sweeps what a process has left that is back before the command `back` of the sweep; `meanwhile` is done before each.
   * Answers with what is left when somebody else has swept, too, and whether the sweep came so far.
   */
  async function meet(back: number, meanwhile: (command: number, leave: () => Promise<void>) => unknown) {
    const { parts, stored, keys } = partsOn(clients[where] as Redis)
    const boot = firstBoot()
    const { directory } = parts()
    const place = { run: runOf(boot), number: '1' }
    const id = connectionId('a', place)
    const write = (before: Row | undefined, after: Row | undefined, anew = false) =>
      directory.write({ id, idParts: place, before, after, anew, message: '' })
    const [old, current] = [lifeOf(boot)[0], lifeOf(nextBoot(boot))[0]]
    await write(undefined, old)
    let commands = 0
    const { sweep } = parts(async command => {
      commands = command
      if (command === back) await write(old, current, true)
      await meanwhile(command, () => write(current, undefined))
    })
    await sweep.sweep(boot).catch(error => expect(error).toBeInstanceOf(Crash))
    await parts().sweep.sweep(boot)
    const left = await stored()
    const rows = (left.get(keys.connectionsOf(place.run)) ?? []).map(text => rowFrom(text)?.boot)
    const named = [{ session: 'sess:one' }, { user: 'ada' }].flatMap(of => left.get(keys.setOf(of)) ?? [])
    return { commands, stands: rows.length === 1 && rows[0] === nextBoot(boot), named, id, left }
  }

  it('a sweep takes nothing from a process that is back, whenever it comes', async () => {
    for (let back = 1; ; back++) {
      const { commands, stands, named, id } = await meet(back, () => {})
      if (commands < back) break
      expect([stands, named], `back at command ${back}`).toEqual([true, [id, id]])
    }
  })

  it('a sweep that fails half-way takes nothing from it either (guards: names of a lease that is over)', async () => {
    for (let back = 1, over = false; !over; back++) {
      for (let failed = back; ; failed++) {
        const { commands, stands, named, id } = await meet(back, command => {
          if (command === failed) throw new Crash()
        })
        over = commands < back
        if (commands < failed) break
        expect([stands, named], `back at command ${back}, failed at ${failed}`).toEqual([true, [id, id]])
      }
    }
  })

  it('a sweep brings back nothing of a process that is back and closes its connections', async () => {
    for (let back = 1, over = false; !over; back++) {
      for (let left = back; ; left++) {
        const met = await meet(back, (command, leave) => command === left && leave())
        over = met.commands < back
        if (met.commands < left) break
        expect([...met.left.keys()], `back at command ${back}, left at ${left}`).toEqual([])
      }
    }
  })
})

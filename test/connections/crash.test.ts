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
        const isSet = (await server.type(key)) === 'set'
        found.set(key, isSet ? await server.smembers(key) : Object.values(await server.hgetall(key)))
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

  it('a sweep takes nothing from a process that is back, whenever it comes', async () => {
    let back = false
    for (let at = 1; at === 1 || back; at++) {
      back = false
      const { parts, stored, keys } = partsOn(clients[where] as Redis)
      const boot = firstBoot()
      const { directory } = parts()
      const write = async (under: string, anew: boolean) => {
        const place = { run: runOf(boot), number: '1' }
        const [before] = anew ? lifeOf(boot) : []
        const [after] = lifeOf(under)
        const id = connectionId('a', place)
        await directory.write({ id, idParts: place, before, after, anew, message: '' })
      }
      await write(boot, false)
      const { sweep } = parts(async command => {
        if (command !== at) return
        back = true
        await write(nextBoot(boot), true)
      })
      await sweep.sweep(boot)
      if (!back) break
      const left = await stored()
      const rows = (left.get(keys.connectionsOf(runOf(boot))) ?? []).map(text => rowFrom(text)?.boot)
      expect(rows, `back at command ${at}`).toEqual([nextBoot(boot)])
      const id = connectionId('a', { run: runOf(boot), number: '1' })
      for (const of of [{ session: 'sess:one' }, { user: 'ada' }])
        expect(left.get(keys.setOf(of)), `back at command ${at}`).toEqual([id])
    }
  })
})

import type { RedisServer } from './redis-server.js'

interface Move {
  slot: number
  from: RedisServer
  to: RedisServer
}

/** Moves one slot of a Redis Cluster, as `redis-cli` does it; `primaries` are all that have to hear of it. */
export async function moveSlot(move: Move, primaries: readonly RedisServer[]): Promise<void> {
  await openSlot(move)
  await carryKeys(move)
  await handOver(move, primaries)
}

/** From now on its keys may be on either server. */
export async function openSlot({ slot, from, to }: Move): Promise<void> {
  await ask(to, 'SETSLOT', slot, 'IMPORTING', await idOf(from))
  await ask(from, 'SETSLOT', slot, 'MIGRATING', await idOf(to))
}

export async function carryKeys({ slot, from, to }: Move): Promise<void> {
  for (;;) {
    const keys = (await ask(from, 'GETKEYSINSLOT', slot, 10)) as string[]
    if (keys.length === 0) return
    const admin = from.client()
    await admin.call('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...keys)
    admin.disconnect()
  }
}

/** The new owner hears of it first. */
export async function handOver(
  { slot, to }: Omit<Move, 'from'>,
  primaries: readonly RedisServer[],
): Promise<void> {
  const id = await idOf(to)
  for (const server of [to, ...primaries.filter(each => each !== to)]) {
    await ask(server, 'SETSLOT', slot, 'NODE', id)
  }
}

async function idOf(server: RedisServer): Promise<string> {
  return String(await ask(server, 'MYID'))
}

async function ask(server: RedisServer, ...args: (string | number)[]): Promise<unknown> {
  const admin = server.client()
  try {
    return await admin.call('CLUSTER', ...args)
  } finally {
    admin.disconnect()
  }
}

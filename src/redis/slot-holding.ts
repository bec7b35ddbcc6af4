/** What a server of a Redis Cluster says of itself; of the others it may not have heard yet. */
export interface SlotHolding {
  readonly id: string
  /** Its configuration epoch. */
  readonly epoch: number
  /** Whether keys come to it from another server, slot by slot. */
  readonly importing: boolean
  /** The ids of the servers to which keys go from it. */
  readonly exportingTo: readonly string[]
  /** The ids of the other servers that own slots, as far as it has heard. */
  readonly others: readonly string[]
}

/** How many fields a line has before its slots. */
const BEFORE_SLOTS = 8

/** Reads it from a reply to CLUSTER NODES: `<id> <address> <flags> <primary> <ping> <pong> <epoch> <link> <slot> ...`. */
export function readHolding(nodes: string): SlotHolding {
  const lines = nodes
    .trim()
    .split('\n')
    .map(line => line.trim().split(' '))
  const own = lines.find(([, , flags]) => flags?.split(',').includes('myself')) ?? []
  const [id = '', , , , , , epoch, , ...slots] = own
  let importing = false
  const exportingTo = new Set<string>()
  for (const slot of slots) {
    // `[7-<-id]` comes from there, `[7->-id]` goes there.
    const onItsWay = /^\[\d+-([<>])-(\w+)\]$/.exec(slot)
    if (onItsWay?.[1] === '<') importing = true
    else if (onItsWay) exportingTo.add(onItsWay[2] as string)
  }
  const others = lines
    .filter(line => line !== own && line.length > BEFORE_SLOTS)
    .map(([other]) => other as string)
  return { id, epoch: Number(epoch), importing, exportingTo: [...exportingTo], others }
}

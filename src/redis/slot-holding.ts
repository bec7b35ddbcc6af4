/** What a server of a Redis Cluster says of itself; of the others it may not have heard yet. */
export interface SlotHolding {
  readonly id: string
  /** Its configuration epoch. */
  readonly epoch: number
  /** The first and the last slot of each range that it owns. */
  readonly ranges: readonly (readonly [first: number, last: number])[]
  /** Whether keys come to it from another server, slot by slot. */
  readonly importing: boolean
  /** The ids of the servers to which keys go from it. */
  readonly exportingTo: readonly string[]
}

/** Reads it from a reply to CLUSTER NODES: `<id> <address> <flags> <primary> <ping> <pong> <epoch> <link> <slot> ...`. */
export function readHolding(nodes: string): SlotHolding {
  const own = nodes.split('\n').find(line => line.split(' ')[2]?.split(',').includes('myself')) ?? ''
  const [id = '', , , , , , epoch, , ...slots] = own.trim().split(' ')
  const holding = { id, epoch: Number(epoch), ranges: [] as [number, number][], importing: false }
  const exportingTo = new Set<string>()
  for (const slot of slots) {
    // `[7-<-id]` comes from there, `[7->-id]` goes there.
    const onItsWay = /^\[\d+-([<>])-(\w+)\]$/.exec(slot)
    const [first, last = first] = slot.split('-').map(Number)
    if (onItsWay?.[1] === '<') holding.importing = true
    else if (onItsWay) exportingTo.add(onItsWay[2] as string)
    else holding.ranges.push([first as number, last as number])
  }
  return { ...holding, exportingTo: [...exportingTo] }
}

import type { Subscription, SubscriptionListener } from '../../src/redis/redis-port.js'
import { Link } from './link.js'
import type { ClientParts } from './node.js'
import type { SimulatedServer } from './server.js'

/** The connections of a client on which it listens: each good for one subscription. */
export class Subscribers {
  readonly links = new Set<Link>()
  readonly #parts: ClientParts

  constructor(parts: ClientParts) {
    this.#parts = parts
  }

  open(
    server: SimulatedServer,
    channels: readonly string[],
    listener: SubscriptionListener,
    givenUp: AbortSignal | undefined,
  ): Promise<Subscription> {
    return new Promise((resolve, reject) => {
      if (!server.up) {
        reject(new Error('connect ECONNREFUSED'))
        return
      }
      let confirmed = false
      const link = new Link(server, this.#parts, () => {
        this.links.delete(link)
        if (confirmed) listener.closed()
        else reject(new Error('Connection is closed.'))
      })
      this.links.add(link)
      link.listener = (channel, text) => listener.message(channel, text)
      const add = () => Promise.reject(new Error('Its stores share no line'))
      const close = () => {
        this.links.delete(link)
        link.close()
      }
      givenUp?.addEventListener('abort', () => {
        close()
        reject(new Error('Connection is closed.'))
      })
      link.toServer(() => {
        const { runId } = server
        server.subscribe(link, channels)
        link.toClient(() => {
          confirmed = true
          resolve({ runId, add, close })
        })
      })
    })
  }

  close(): void {
    for (const link of this.links) link.close()
  }
}

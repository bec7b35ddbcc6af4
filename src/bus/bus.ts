import type { Moment } from '../base/clock.js'
import type { Message, MessageBody } from './message.js'

/** What goes into a write script so that the other nodes hear of it; empty when nobody is to be told. */
export interface Announcement {
  readonly channel: string
  readonly message: string
}

/** Who acts on what is heard. */
export interface BusListener {
  /** Another node says so. */
  message(message: Message): void
  /** Messages may have been missed, or cannot be understood: nothing held can be trusted. */
  missed(reason: string): void
  /** Whether values that are read from now on may be kept: not while any of their messages would be missed. */
  hearing(all: boolean): void
}

/** How writes reach the other nodes, and whether theirs are known to reach this one. */
export interface Bus {
  /** Whether somebody listens. */
  readonly running: boolean
  listen(listener: BusListener): void
  /** The message of a write that is about to be sent. */
  announce(body: MessageBody): Announcement
  /** Sends a message by itself, for what is no write of a session. */
  publish(body: MessageBody): Promise<void>
  /** Whether what this node holds may be served now. */
  trusted(now: Moment): boolean
  /**
   * To be called when it is unknown whether a write was executed, or whether it is only once. It may still be, long after its
   * caller was told, and its message must then not be taken for one that this node need not act on.
   */
  doubt(): void
}

/** For a store that stands alone: nobody is told, and nothing can be missed. */
export const noBus: Bus = {
  running: false,
  listen: listener => listener.hearing(true),
  announce: () => ({ channel: '', message: '' }),
  publish: async () => {},
  trusted: () => true,
  doubt() {},
}

import type { Outgoing, Sent, Transport } from '../../src/connections/transport.js'

/** A socket that is none: what it was sent, and how it was closed. */
export class FakeTransport implements Transport {
  readonly kind = 'fake'
  readonly received: unknown[] = []
  closings: { code: number; reason: string }[] = []
  /** Whether it may be sent to. */
  isOpen = false
  /** Something has come from the other side. */
  heard: () => void = () => {}
  #ended: () => void = () => {}
  #isOver = false

  opened(): void {
    this.isOpen = true
  }

  send({ data }: Outgoing): Sent {
    this.received.push(data)
    return 'sent'
  }

  close(code: number, reason: string): void {
    this.isOpen = false
    this.closings.push({ code, reason })
  }

  onClose(ended: () => void): void {
    this.#ended = ended
    if (this.#isOver) ended()
  }

  onActivity(heard: () => void): void {
    this.heard = heard
  }

  /** The other side goes. */
  end(): void {
    this.isOpen = false
    this.#isOver = true
    this.#ended()
  }
}

import type { Outgoing, Sent, Transport } from '../../src/index.js'

/** A connection without a network: it notes what it is sent and how it is closed. */
export class FakeTransport implements Transport {
  readonly kind: string
  readonly received: unknown[] = []
  readonly texts: string[] = []
  /** How often it was told that it may be sent to. */
  openings = 0
  /** Each closing, as `1008 session revoked`. */
  readonly closings: string[] = []
  /** Whether it is closed when it answers `slow`. */
  closesWhenSlow = false
  /** What it answers to whatever it is sent. */
  answer: Sent = 'sent'
  #ended: () => void = () => {}
  #hasEnded = false
  #heard: () => void = () => {}

  constructor(kind = 'fake') {
    this.kind = kind
  }

  get isClosed(): boolean {
    return this.closings.length > 0
  }

  opened(): void {
    this.openings++
  }

  send({ data, text }: Outgoing): Sent {
    if (this.answer !== 'sent') return this.answer
    this.received.push(data)
    this.texts.push(text)
    return 'sent'
  }

  close(code: number, reason: string): void {
    this.closings.push(`${code} ${reason}`)
  }

  onClose(ended: () => void): void {
    this.#ended = ended
    if (this.#hasEnded) ended()
  }

  onActivity(heard: () => void): void {
    this.#heard = heard
  }

  /** The other side sends something. */
  speak(): void {
    this.#heard()
  }

  /** The other side has gone. */
  end(): void {
    this.#hasEnded = true
    this.#ended()
  }
}

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { atEndOfFile } from './at-end-of-file.js'
import { freePort } from './free-port.js'
import { Lane } from './lane.js'

const HOST = '127.0.0.1'
const SENT_KEPT = 64 * 1024

export interface ProxyOptions {
  /** Sees every connection before its first byte passes. */
  onConnection?: (connection: ProxyConnection) => void
}

/** Starts a loopback proxy in front of a port, to break what runs through it; it ends with the test file at the latest. */
export async function startProxy(targetPort: number, options: ProxyOptions = {}): Promise<TcpProxy> {
  for (let attempts = 5; ; attempts--) {
    const proxy = new TcpProxy(targetPort, await freePort(), options)
    try {
      await proxy.refuse(false)
      return proxy
    } catch (error) {
      if (attempts === 1) throw error
    }
  }
}

export class TcpProxy {
  readonly port: number
  /** How many connections there ever were. */
  accepted = 0
  #targetPort: number
  #onConnection: ((connection: ProxyConnection) => void) | undefined
  #listener: Server | undefined
  #connections: ProxyConnection[] = []
  #delay = 0
  #callOff = atEndOfFile(() => this.stop())

  constructor(targetPort: number, port: number, { onConnection }: ProxyOptions) {
    this.#targetPort = targetPort
    this.port = port
    this.#onConnection = onConnection
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`
  }

  /** The connections some client has open now, oldest first. */
  get connections(): readonly ProxyConnection[] {
    return this.#connections.filter(connection => connection.open)
  }

  /** Whether new connections are refused, as by a port nobody listens on; those that exist stay. */
  async refuse(refusing: boolean): Promise<void> {
    if (refusing) {
      this.#listener?.close()
      this.#listener = undefined
    } else if (!this.#listener) {
      const listener = createServer({ allowHalfOpen: true }, socket => this.#accept(socket))
      listener.listen(this.port, HOST)
      await once(listener, 'listening')
      this.#listener = listener
    }
  }

  /** Where new connections lead from now on; those that exist stay. */
  retarget(targetPort: number): void {
    this.#targetPort = targetPort
  }

  /** Latency each way, for what is sent from now on, on every connection. */
  delay(milliseconds: number): void {
    this.#delay = milliseconds
    for (const connection of this.#connections) connection.delay(milliseconds)
  }

  async stop(): Promise<void> {
    this.#callOff()
    await this.refuse(true)
    for (const connection of [...this.#connections]) connection.cut()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #accept(client: Socket): void {
    this.accepted++
    const target = connect({ port: this.#targetPort, host: HOST, allowHalfOpen: true })
    const connection = new ProxyConnection(client, target, () => {
      this.#connections = this.#connections.filter(other => other !== connection)
    })
    connection.delay(this.#delay)
    this.#connections.push(connection)
    this.#onConnection?.(connection)
  }
}

export class ProxyConnection {
  #client: Socket
  #target: Socket
  #requests: Lane
  #replies: Lane
  #sent: Buffer[] = []
  #sentLength = 0
  #dark = false
  #clientGone = false

  constructor(client: Socket, target: Socket, onClosed: () => void) {
    this.#client = client
    this.#target = target
    client.on('data', data => this.#note(data))
    for (const event of ['end', 'close']) {
      client.once(event, () => {
        this.#clientGone = true
      })
    }
    this.#requests = new Lane(client, target)
    this.#replies = new Lane(target, client)
    let open = 2
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', failed => {
        // Closed in good order, the other side still has to receive what is on its way.
        if (failed && !this.#dark) other.destroy()
        if (--open === 0) onClosed()
      })
    }
  }

  /** Whether the client still has it open; what the server knows of that is another matter. */
  get open(): boolean {
    return !this.#clientGone
  }

  /** What the client has sent so far, up to the first 64 KB. */
  get sent(): string {
    return Buffer.concat(this.#sent).toString('utf8')
  }

  /** Whether the client listens to a channel here. */
  get isSubscriber(): boolean {
    return /subscribe/i.test(this.sent)
  }

  /** Requests reach the server, its replies wait. */
  holdReplies(): void {
    this.#replies.hold()
  }

  releaseReplies(): void {
    this.#replies.release()
  }

  /** What the server says piles up on its side, until its buffers are full. */
  stopReading(): void {
    this.#target.pause()
  }

  readOn(): void {
    this.#target.resume()
  }

  /** Requests wait, what the server says on its own still arrives. */
  holdRequests(): void {
    this.#requests.hold()
  }

  releaseRequests(): void {
    this.#requests.release()
  }

  /** Nothing passes any more in either direction, for good, while both sides still see an open connection. */
  blackhole(): void {
    this.#dark = true
    this.#requests.swallow()
    this.#replies.swallow()
  }

  /** Both sides see the connection close. */
  cut(): void {
    this.#requests.stop()
    this.#replies.stop()
    this.#client.destroy()
    this.#target.destroy()
  }

  /** Latency each way, for what is sent from now on. */
  delay(milliseconds: number): void {
    this.#requests.delay = milliseconds
    this.#replies.delay = milliseconds
  }

  #note(data: Buffer): void {
    const kept = data.subarray(0, SENT_KEPT - this.#sentLength)
    if (kept.length === 0) return
    this.#sent.push(kept)
    this.#sentLength += kept.length
  }
}

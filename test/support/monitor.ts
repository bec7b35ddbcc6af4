import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { until } from './until.js'

const LINE = /^\+\d+\.\d+ \[\d+ \S+\] (.*)$/

/**
 * Every command that reaches a server from now on, as MONITOR shows it, those that scripts run among them. Over a socket of its
 * own: ioredis is thrown off by a command that is told together with the answer to MONITOR.
 */
export class Monitor {
  /** Each with its arguments, as they are quoted. */
  readonly commands: string[][] = []
  readonly #socket: Socket

  static async start(port: number): Promise<Monitor> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const monitor = new Monitor(socket)
    const answered = once(socket, 'data')
    socket.write('MONITOR\r\n')
    await answered
    return monitor
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    createInterface({ input: socket }).on('line', line => {
      const command = LINE.exec(line)?.[1]
      if (command) this.commands.push(command.slice(1, -1).split('" "'))
    })
  }

  /** Waits until all has been told that came before this, of which `client` is made to tell the end. */
  async told(client: { echo(text: string): Promise<unknown> }): Promise<string[][]> {
    const end = `the end, ${Math.random()}`
    await client.echo(end)
    await until(() => this.commands.some(args => args[1] === end))
    return this.commands
  }

  stop(): void {
    this.#socket.destroy()
  }
}

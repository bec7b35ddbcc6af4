import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

const RETRY_AFTER = 10
const LINE = /^\+(\d+\.\d+) \[\d+ ([^\]]+)\] (.*)$/
const ARGUMENT = /"((?:[^"\\]|\\.)*)"/g
const ESCAPE = /\\(?:x([0-9a-f]{2})|(.))/g
const ESCAPED: Record<string, string> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }

/** A command that a server has executed, also one of a script. */
export interface Command {
  /** The server's clock, in ms. */
  readonly at: number
  /** 'lua' for a command of a script, else an address. */
  readonly source: string
  readonly args: readonly string[]
}

/** Everything a server executes, in its order: its own MONITOR, attached again whenever the connection ends. */
export class Monitor {
  readonly server: RedisServer
  readonly commands: Command[] = []
  #socket: Socket | undefined
  #attached = false
  #stopped = false

  private constructor(server: RedisServer) {
    this.server = server
  }

  static async attach(server: RedisServer): Promise<Monitor> {
    const monitor = new Monitor(server)
    void monitor.#follow()
    await monitor.attached()
    return monitor
  }

  /** Resolves when nothing is missed from now on. */
  async attached(): Promise<void> {
    await until(() => this.#attached, { message: 'MONITOR to begin' })
  }

  stop(): void {
    this.#stopped = true
    this.#socket?.destroy()
  }

  async #follow(): Promise<void> {
    while (!this.#stopped) {
      const socket = connect(this.server.port, this.server.host, () => socket.write('MONITOR\r\n'))
      this.#socket = socket
      let rest = ''
      socket.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\r\n')
        rest = lines.pop() ?? ''
        for (const line of lines) this.#take(line)
      })
      socket.on('error', () => {})
      await new Promise(resolve => socket.once('close', resolve))
      this.#attached = false
      await sleep(RETRY_AFTER)
    }
  }

  #take(line: string): void {
    if (line === '+OK') this.#attached = true
    const [, time, source = '', rest = ''] = LINE.exec(line) ?? []
    if (time === undefined) return
    const args = [...rest.matchAll(ARGUMENT)].map(([, text = '']) => text.replace(ESCAPE, letterOf))
    this.commands.push({ at: Number(time) * 1_000, source, args })
  }
}

function letterOf(_match: string, hex: string | undefined, letter = ''): string {
  return hex === undefined ? (ESCAPED[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16))
}

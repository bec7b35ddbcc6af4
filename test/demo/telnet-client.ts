import { connect, type Socket } from 'node:net'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { until } from '../support/until.js'

/** Somebody with a telnet client: types lines, and reads what comes. */
export class TelnetClient {
  readonly #socket: Socket
  #text = ''
  /** Up to where it was read. */
  #read = 0

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.on('error', () => {})
    this.#socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
    })
    const callOff = atEndOfFile(async () => this.leave())
    this.#socket.once('close', callOff)
  }

  get isOpen(): boolean {
    return this.#socket.readyState === 'open'
  }

  /** What has come since the last line was typed. */
  get lastRead(): string {
    return this.#text.slice(this.#read)
  }

  /** Types a line, and answers with what comes next, up to what is waited for. */
  async type(line: string | Buffer, expected: string): Promise<string> {
    this.#read = this.#text.length
    this.#socket.write(line)
    this.#socket.write('\r\n')
    return this.reads(expected)
  }

  /** What has come since the last line was typed, once it has what is waited for. */
  async reads(expected: string): Promise<string> {
    await until(() => this.#text.includes(expected, this.#read), {
      message: () => `a telnet client to read "${expected}"; it read:\n${this.#text.slice(this.#read)}`,
    })
    return this.#text.slice(this.#read)
  }

  async ended(): Promise<void> {
    await until(() => this.#socket.closed)
  }

  leave(): void {
    this.#socket.destroy()
  }
}

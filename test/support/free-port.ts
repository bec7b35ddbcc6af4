import { createServer } from 'node:net'

// Below the range both Linux and macOS hand out to outgoing connections: a port from there can be taken by
// any client on the machine between two starts of the same server.
const LOWEST = 15_000
const HIGHEST = 32_000

/** A TCP port of the loopback interface that nobody listens on right now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}

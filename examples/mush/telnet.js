// @ts-check
// A transport is all that `connections.attach` needs of a socket: how to send, how to close, and when it has ended. None of its
// functions may throw.

const HIGH_WATER = 65_536
/** How long the other side has to take the last words, in milliseconds. */
const CLOSING_TAKES = 1_000

/**
 * @param {import('node:net').Socket} socket
 * @returns {import('clustered-redis-store').Transport}
 */
export function fromTelnet(socket) {
  // An error that nobody listens for would end the process. It is followed by `close`.
  socket.on('error', () => {})
  return {
    kind: 'telnet',
    send({ text }) {
      if (!socket.writable) return 'gone'
      // Whoever does not read must not fill our memory.
      if (socket.writableLength > HIGH_WATER) return 'slow'
      socket.write(linesOf(text))
      return 'sent'
    },
    close(_code, reason) {
      socket.end(linesOf(reason))
      const timer = setTimeout(() => socket.destroy(), CLOSING_TAKES)
      socket.once('close', () => clearTimeout(timer))
    },
    onClose(ended) {
      // It may have ended before it was attached.
      if (socket.destroyed) ended()
      else socket.once('close', ended)
    },
  }
}

/** @param {string} text */
export function linesOf(text) {
  return `${text.replaceAll('\n', '\r\n')}\r\n`
}

/**
 * What somebody has typed, without what his telnet says to ours, and whatever a terminal would obey.
 *
 * @param {string} line
 */
export function typed(line) {
  // What is not UTF-8 has become U+FFFD: the two bytes that begin an offer or a request of telnet. A third names the option.
  return line.replace(/\ufffd\ufffd.?|\ufffd|\p{Cc}/gsu, '').trim()
}

// @ts-check

const WIDTH = 30

/**
 * A bar on a terminal, one line at the end elsewhere.
 *
 * @param {string} what
 * @param {number} total
 */
export function startProgress(what, total) {
  const began = performance.now()
  let shown = -1
  return {
    /** @param {number} done */
    show(done) {
      const percent = Math.floor((100 * done) / total)
      if (!process.stdout.isTTY || percent === shown) return
      shown = percent
      const full = Math.floor((WIDTH * percent) / 100)
      process.stdout.write(`\r${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${percent} % ${what}`)
    },
    end() {
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      process.stdout.write(`${process.stdout.isTTY ? '\r\x1b[K' : ''}${what}: ${seconds} s\n`)
    },
  }
}

// @ts-check

/** @type {Set<() => void>} */
const endings = new Set()
process.once('exit', () => {
  for (const end of endings) end()
})
// By itself a signal ends a process without what it does when it exits.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => process.exit(1))
}

/**
 * Does this when the process exits, or is told to by a signal, unless it was done before.
 *
 * @param {() => void} deed
 * @returns {() => void} does it now
 */
export function atExit(deed) {
  const end = () => {
    if (endings.delete(end)) deed()
  }
  endings.add(end)
  return end
}

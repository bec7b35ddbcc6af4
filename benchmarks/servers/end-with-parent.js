// @ts-check

/** For a process that another has started. That may be gone before this one is ready. */
export function endWithParent() {
  if (!process.connected) process.exit()
  process.once('disconnect', () => process.exit())
}

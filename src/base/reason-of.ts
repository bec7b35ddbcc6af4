/** Why something failed, in words. Anything may be thrown by an app, also what has no message and cannot be made text of. */
export function reasonOf(thrown: unknown): string {
  try {
    const { message } = Object(thrown) as { message?: unknown }
    return typeof message === 'string' ? message : String(thrown)
  } catch {
    return 'something was thrown that is no error'
  }
}

import { DeadlineError, RedisError, StoreError, UnavailableError } from '../base/errors.js'

const CONNECTION_LOST =
  /connection is closed|isn't writeable|isn't ready|max retries per request|econn|epipe|etimedout|enotfound|eai_again|ehostunreach|enetunreach|socket|slots cache|startup nodes|all sentinels/i
/** What a server says that cannot answer yet, or not any more. */
const AWAY = /^Redis: (LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)/

/** Whether Redis itself has answered so. Anything else leaves open whether it has executed the command. */
export function isAnswer(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === 'ReplyError' || /^(NOAUTH|WRONGPASS|NOPERM)/.test(error.message)
}

/** Whether the connection failed. A client that has waited for too long says something else: its command may yet be executed. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error) || isAnswer(error)) return false
  return CONNECTION_LOST.test(`${error.name} ${(error as { code?: string }).code ?? ''} ${error.message}`)
}

/** Whether an error says that Redis cannot be asked now. A refusal does not: a right that was taken away is to be felt. */
export function isAway(error: unknown): error is StoreError {
  if (error instanceof DeadlineError || error instanceof UnavailableError) return true
  return error instanceof RedisError && (!isAnswer(error.cause) || AWAY.test(error.message))
}

/** An error of ours: what ioredis throws carries the command and with it the session. */
export function toStoreError(
  cause: unknown,
  { secrets, harmless }: { secrets: readonly string[]; harmless: boolean },
): StoreError {
  if (cause instanceof StoreError) return cause
  const error = cause instanceof Error ? cause : new Error(String(cause))
  const message = withoutSecrets(error.message, secrets) + hint(error.message)
  const stripped = new Error(message)
  stripped.name = error.name
  if (error.stack) stripped.stack = error.stack.replace(error.message, () => message)
  return new RedisError(`Redis: ${message}`, {
    cause: stripped,
    outcomeUnknown: !harmless && !isAnswer(error),
  })
}

/** Redis quotes the arguments of a command that it does not know, and may quote keys elsewhere. */
function withoutSecrets(message: string, secrets: readonly string[]): string {
  let clean = message.replace(/,? with args beginning with:[\s\S]*$/, '')
  for (const secret of secrets) clean = clean.replaceAll(secret, '<key>')
  return clean
}

function hint(message: string): string {
  return /\bchannel/i.test(message) && /permission|can't|NOPERM/i.test(message)
    ? ' (grant the user the channels &crs:*, or the one in the option cluster.channel and those that start with it)'
    : ''
}

/** What express-session and its kin pass in. */
export type Callback<Result = void> = (error?: Error | null, result?: Result) => void

/**
 * Calls back exactly once, or answers with the promise if there is nobody to call. The call happens outside the promise,
 * so that what the callback throws is the app's own uncaught error and not a rejection of ours, nor a second call.
 */
export function settle<Result>(promise: Promise<Result>, callback: undefined): Promise<Result>
export function settle<Result>(
  promise: Promise<Result>,
  callback: Callback<Result> | undefined,
): Promise<Result> | undefined
export function settle<Result>(
  promise: Promise<Result>,
  callback: Callback<Result> | undefined,
): Promise<Result> | undefined {
  if (!callback) return promise
  promise.then(
    result => process.nextTick(callback, null, result),
    error => process.nextTick(callback, error),
  )
}

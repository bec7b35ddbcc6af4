import { invalid } from '../base/checks.js'
import { NoInstanceError } from '../base/cluster-errors.js'
import type { ServiceInstance } from './service-instance.js'

/** To send one of these twice does no more than to send it once. */
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']
/** What says that nothing was reached, or that it was lost. */
const CONNECTION_FAILED =
  /ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_(SOCKET|CONNECT)/

/**
 * One request to whichever instance is picked; if its connection fails, to the next, as long as the method allows that. A POST
 * is sent once, whatever happens: nobody knows how far it got.
 */
export async function fetchFrom(
  name: string,
  path: string,
  init: RequestInit,
  pick: (exclude: readonly ServiceInstance[]) => Promise<ServiceInstance | null>,
): Promise<Response> {
  // Anything else could lead to another host.
  if (typeof path !== 'string' || !path.startsWith('/'))
    throw invalid('path', path, "one that starts with '/'")
  const tried: ServiceInstance[] = []
  let cause: unknown
  for (;;) {
    const instance = await pick(tried)
    if (!instance) throw new NoInstanceError(name, { tried: tried.length, cause })
    try {
      return await fetch(instance.url + path, init)
    } catch (error) {
      if (!mayRepeat(init) || !isConnectionFailure(error)) throw error
      cause = error
    }
    tried.push(instance)
  }
}

function mayRepeat({ method = 'GET', body }: RequestInit): boolean {
  return IDEMPOTENT.includes(method.toUpperCase()) && canBeSentAgain(body)
}

/** A stream was read when it was sent, and so was whatever else is not known to stay what it is. */
function canBeSentAgain(body: RequestInit['body']): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return true
  return [URLSearchParams, Blob, FormData].some(kind => body instanceof kind)
}

function isConnectionFailure(error: unknown): boolean {
  // An aborted `signal` rejects with its reason, which may be anything.
  const { cause } = (error ?? {}) as { cause?: { code?: unknown } }
  return CONNECTION_FAILED.test(String(cause?.code))
}

// @ts-check

/**
 * Whether another site made the browser send this. `SameSite=Lax` on the cookie is not enough here: ports of one host
 * are one site. Browsers that do not say where a request comes from send its Origin; curl sends neither.
 *
 * @param {import('node:http').IncomingMessage} request
 */
export function isForged({ method, headers }) {
  if (method === 'GET' || method === 'HEAD') return false
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin'
  return headers.origin !== undefined && headers.origin !== `http://${headers.host}`
}

import { PayloadTooLargeError } from '../base/connection-errors.js'
import { OptionError } from '../base/errors.js'
import type { Json } from '../base/json.js'
import { reasonOf } from '../base/reason-of.js'

/** A subscriber that does not keep up is cut off by Redis, and large messages are the shortest way there. */
const LARGEST = 64 * 1024

/** What may go from node to node. Undefined becomes null. */
export function payloadOf(data: unknown): Json {
  let json: string | undefined
  try {
    json = JSON.stringify(data ?? null)
  } catch (error) {
    throw new OptionError(`data: JSON cannot hold it: ${reasonOf(error)}`)
  }
  if (json === undefined) throw new OptionError(`data: JSON cannot hold a ${typeof data}`)
  const bytes = Buffer.byteLength(json)
  if (bytes > LARGEST) throw new PayloadTooLargeError(bytes, LARGEST)
  return JSON.parse(json)
}

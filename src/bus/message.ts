/** The version of the messages that this code writes. */
const MESSAGE_VERSION = 1

/** Far above what a batch of ids takes; more than this is not ours. */
const MAX_LENGTH = 512 * 1024

interface Sender {
  v: number
  /** The configured name of the node. */
  node: string
  /** A UUID made when the bus started: what tells this process from another under the same name. */
  instance: string
  /** Counts up whenever the sender can no longer tell which of its writes were executed. */
  round: number
}

export type Message = Sender & MessageBody

/** Why sessions are gone. `rotated`: the session goes on under another id. */
export type DeletionReason = 'destroyed' | 'revoked' | 'rotated'

/** What a message says. */
export type MessageBody =
  /** These sessions are gone. */
  | { type: 'SessionDeleted'; ids: string[]; reason?: DeletionReason }
  /** These sessions have changed. */
  | { type: 'SessionInvalidated'; ids: string[] }
  /** Any session may have changed. */
  | { type: 'CacheClear' }

type Decoded = { kind: 'message'; message: Message } | { kind: 'newer' } | { kind: 'unreadable' }

export function encodeMessage(sender: Omit<Sender, 'v'>, body: MessageBody): string {
  return JSON.stringify({ v: MESSAGE_VERSION, ...sender, ...body })
}

export function decodeMessage(text: string): Decoded {
  if (text.length > MAX_LENGTH) return { kind: 'unreadable' }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { kind: 'unreadable' }
  }
  if (typeof value !== 'object' || value === null) return { kind: 'unreadable' }
  const message = value as Partial<Record<keyof Sender | 'type' | 'ids', unknown>>
  if (typeof message.v === 'number' && message.v > MESSAGE_VERSION) return { kind: 'newer' }
  const known =
    message.v === MESSAGE_VERSION &&
    typeof message.node === 'string' &&
    typeof message.instance === 'string' &&
    typeof message.round === 'number' &&
    (message.type === 'CacheClear' ||
      ((message.type === 'SessionDeleted' || message.type === 'SessionInvalidated') &&
        isListOfIds(message.ids)))
  return known ? { kind: 'message', message: value as Message } : { kind: 'unreadable' }
}

function isListOfIds(ids: unknown): boolean {
  return Array.isArray(ids) && ids.every(id => typeof id === 'string')
}

import { isObject } from '../base/checks.js'
import { type Json, objectFrom } from '../base/json.js'

const VERSION = 1

interface Origin {
  /** The run of the process that has sent it. */
  readonly from: string
  /** Counts what one process sends, to whomever. */
  readonly seq: number
}

/** Why a question has no answer. */
export interface Failure {
  readonly reason: 'unhandled' | 'failed'
  readonly message: string
}

/** What has become of a question. */
export type Outcome = { readonly body: Json } | { readonly failure: Failure }

/** In characters. What a handler throws may be of any length, and too long an answer cuts off whoever has asked. */
const LONGEST_FAILURE = 1_024

export function shortened(outcome: Outcome): Outcome {
  if (!('failure' in outcome)) return outcome
  const { reason, message } = outcome.failure
  return { failure: { reason, message: String(message).slice(0, LONGEST_FAILURE) } }
}

export type NodeMessageBody =
  | { readonly kind: 'tell'; readonly topic: string; readonly body: Json }
  | { readonly kind: 'ask'; readonly topic: string; readonly body: Json; readonly ask: number }
  | { readonly kind: 'answer'; readonly ask: number; readonly outcome: Outcome }

export type NodeMessage = Origin & NodeMessageBody

export function encodeNodeMessage(message: NodeMessage): string {
  return JSON.stringify({ v: VERSION, ...message })
}

/** Undefined if it is none of ours, or of a version that this code does not know. */
export function decodeNodeMessage(text: string): NodeMessage | undefined {
  const message = objectFrom(text)
  if (!message) return undefined
  const { v, from, seq, kind, topic, ask, outcome } = message
  if (v !== VERSION || typeof from !== 'string' || !Number.isSafeInteger(seq)) return undefined
  if (kind !== 'tell' && !Number.isSafeInteger(ask)) return undefined
  const known =
    kind === 'answer' ? isOutcome(outcome) : (kind === 'tell' || kind === 'ask') && typeof topic === 'string'
  return known ? (message as unknown as NodeMessage) : undefined
}

function isOutcome(value: unknown): value is Outcome {
  if (!isObject(value)) return false
  const { failure } = value as { failure?: unknown }
  return 'body' in value || (isObject(failure) && typeof (failure as Partial<Failure>).message === 'string')
}

import { messageOf } from './messages'
import type { ErrorData, Reason, Violation } from './types'

/** Reasons that this SDK gives by itself, beside those of the backend. */
export type ClientReason =
  /** The phone has no network. */
  | 'offline'
  /** No answer in time. */
  | 'timeout'
  /** The connection failed or broke. */
  | 'network'
  /** WeChat refuses the address: it is not among the domains in the console, or not HTTPS. */
  | 'domain_blocked'
  /** The page cancelled the call. */
  | 'cancelled'
  /** The user logged out: calls wait for an explicit `login()`. */
  | 'signed_out'
  /** `wx.login` failed. */
  | 'login_failed'
  /** The answer does not come from the backend: a captive portal, or a wrong `baseURL`. */
  | 'bad_response'
  /** The phone can't read the picture, or the object store refused it. */
  | 'upload_failed'
  /** The platform lacks a function that the call needs; for developers. */
  | 'unsupported'
  /** `client.request` was given an address that may not get the user's token; for developers. Nothing was sent. */
  | 'address_refused'
  /** A function of one's own answered with a status that says no more; `status` and `data` are its answer. */
  | 'refused'

/**
 * - `api`: the backend answered, and refused
 * - `network`: it was not reached, or it is unknown whether it was
 * - `cancelled`: by the page
 * - `client`: the SDK or the platform refused
 */
export type ErrorKind = 'api' | 'network' | 'cancelled' | 'client'

export interface ErrorFields {
  kind: ErrorKind
  reason: Reason | ClientReason
  status?: number
  requestId?: string
  retryAfter?: number
  data?: unknown
  /** For developers, without secrets. */
  detail?: string
  serverMessage?: string
  /** In place of the sentence for the reason. */
  userMessage?: string
}

/**
 * Every failure of the SDK. `message` is for the log and never holds tokens, codes, numbers or bodies; `userMessage` is
 * for people. Branch on `reason`, with `hasReason` where the `data` of a reason matters.
 */
export class WeappError extends Error {
  readonly kind: ErrorKind
  readonly reason: Reason | ClientReason
  /** The HTTP status, if the backend answered. */
  readonly status: number | undefined
  /** Names the request in the backend's log. */
  readonly requestId: string | undefined
  /** In how many seconds the call can be repeated, if the backend said so. */
  readonly retryAfter: number | undefined
  /** A sentence for the user. */
  readonly userMessage: string
  /** What the backend said beside the reason. Not enumerable: a ticket in it must not appear in a log of the error. */
  readonly data!: unknown

  constructor(fields: ErrorFields) {
    const { kind, reason, status, requestId, retryAfter, data, detail } = fields
    const parts = [reason, status && `HTTP ${status}`, detail, requestId && `request ${requestId}`]
    super(parts.filter(Boolean).join(', '))
    this.name = 'WeappError'
    this.kind = kind
    this.reason = reason
    this.status = status
    this.requestId = requestId
    this.retryAfter = retryAfter
    this.userMessage =
      fields.userMessage ||
      violations(reason, data) ||
      messageOf(reason) ||
      fields.serverMessage ||
      messageOf('internal')
    Object.defineProperty(this, 'data', { value: data, enumerable: false })
  }
}

/** What the backend says about each field is written for people, and says more than one sentence for all of them. */
function violations(reason: string, data: unknown): string {
  if (reason !== 'invalid_request' || typeof data !== 'object' || data === null) return ''
  const { fields } = data as { fields?: Violation[] }
  // A function of one's own may call something else by that name.
  const messages = Array.isArray(fields) ? fields.map((field) => Object(field).message) : []
  return messages.filter((message) => typeof message === 'string').join('；')
}

/** Whether it is a failure of this SDK. By its name: `instanceof` fails where a page has a second copy of the package. */
export function isWeappError(error: unknown): error is WeappError {
  return error instanceof Error && error.name === 'WeappError' && 'reason' in error
}

/** Whether it failed for this reason; then the type of `error.data` is known. */
export function hasReason<R extends Reason | ClientReason>(
  error: unknown,
  reason: R,
): error is WeappError & { readonly reason: R; readonly data: R extends keyof ErrorData ? ErrorData[R] : unknown } {
  return isWeappError(error) && error.reason === reason
}

/** What kind of error it is, such as `TypeError ECONNREFUSED`. Its text can hold what no log should. */
export function errorName(error: unknown): string {
  const { name, code, cause }: { name?: unknown; code?: unknown; cause?: unknown } = Object(error)
  const { code: inner }: { code?: unknown } = Object(cause)
  return [name, code || inner].filter((part) => typeof part === 'string' && /^\w{1,40}$/.test(part)).join(' ')
}

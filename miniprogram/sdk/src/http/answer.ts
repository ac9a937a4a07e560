import { type ClientReason, WeappError } from '../errors'
import type { TransportResponse } from '../transport/transport'
import type { Reason } from '../types'

/** What came back, of any status. */
export interface Answer {
  status: number
  data: unknown
  /** Lower-case names. */
  headers: { [name: string]: string }
  /** Absent if the call succeeded. */
  error?: WeappError
}

interface Envelope {
  code: number
  message?: string
  data?: unknown
  reason?: Reason
}

/** Answers of API Gateway and of other things on the way have no envelope: the status is all they say. */
const BY_STATUS: { [status: number]: Reason } = {
  408: 'request_timeout',
  413: 'body_too_large',
  429: 'rate_limited',
  502: 'upstream_error',
  503: 'unavailable',
  504: 'upstream_timeout',
}

export function lowerCased(headers: TransportResponse['headers']): { [name: string]: string } {
  const lower: { [name: string]: string } = {}
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value !== undefined) lower[name.toLowerCase()] = String(value)
  }
  return lower
}

/** JSON, where it is JSON. */
export function parsed(body: unknown): unknown {
  if (typeof body !== 'string') return body
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** The backend's `code` repeats the status; firewalls and gateways have a `code` as well, often with a status of 200. */
function isEnvelope(value: unknown, status: number): value is Envelope {
  return typeof value === 'object' && value !== null && (value as Envelope).code === status
}

function withoutEnvelope(status: number): { kind: 'api' | 'network'; reason: Reason | ClientReason } {
  const reason = BY_STATUS[status]
  return reason ? { kind: 'api', reason } : { kind: 'network', reason: 'bad_response' }
}

/**
 * Seconds or a date (RFC 9110 §10.2.3). The backend says seconds; what stands in front of it may say either. The date is
 * compared with the backend's clock, because the phone's can be wrong by hours.
 */
function retryAfterOf(header: string | undefined, now: number): { retryAfter?: number } {
  if (!header) return {}
  if (/^\d+$/.test(header)) return { retryAfter: Number(header) }
  const date = / GMT$/.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(date) ? {} : { retryAfter: Math.max(0, Math.ceil((date - now) / 1000)) }
}

/**
 * Reads the envelope. `status` is the envelope's own where it was sealed: that can't be changed on the way. `now` is the
 * backend's time, in milliseconds.
 */
export function readAnswer(status: number, headers: { [name: string]: string }, body: unknown, now: number): Answer {
  const content = parsed(body)
  const ids = { status, ...(headers['x-request-id'] && { requestId: headers['x-request-id'] }) }
  const refused = retryAfterOf(headers['retry-after'], now)
  if (!isEnvelope(content, status)) {
    const error = new WeappError({ ...withoutEnvelope(status), ...ids, ...refused })
    return { status, headers, data: null, error }
  }
  const { data, reason, message } = content
  if (status < 300) return { status, headers, data }
  const error = new WeappError({
    kind: 'api',
    reason: reason || withoutEnvelope(status).reason,
    data,
    ...ids,
    ...refused,
    ...(message && { serverMessage: message }),
  })
  return { status, headers, data, error }
}

/** What statuses mean where they are all that is known, beside `BY_STATUS`. */
const OWN_STATUS: { [status: number]: Reason } = { 401: 'token_invalid', 403: 'forbidden' }

/**
 * Reads the answer of a function of one's own, which has no envelope: of a success the whole body, parsed if it is JSON.
 * A refusal that was passed on from the backend keeps its reason.
 */
export function readOwnAnswer(status: number, headers: { [name: string]: string }, body: unknown, now: number): Answer {
  const content = parsed(body)
  const data = content === undefined ? body || null : content
  if (status >= 200 && status < 300) return { status, headers, data }
  if (isEnvelope(content, status) && typeof content.reason === 'string') return readAnswer(status, headers, body, now)
  const error = new WeappError({
    kind: 'api',
    reason: OWN_STATUS[status] || BY_STATUS[status] || 'refused',
    status,
    data,
    ...(headers['x-request-id'] && { requestId: headers['x-request-id'] }),
    ...retryAfterOf(headers['retry-after'], now),
  })
  return { status, headers, data, error }
}

import type { ServerClock } from '../http/server-clock'
import type { Runtime } from '../runtime'
import type { Tokens } from '../types'

/** A session as it is stored. Times are those of its receipt, in milliseconds. */
export interface SignedIn {
  state: 'in'
  /** Tokens are sent to the backend that gave them only. */
  baseURL: string
  token: string
  refreshToken: string
  /** Seconds. */
  expiresIn: number
  /** The phone's clock. */
  received: number
  /** The backend's clock. */
  served: number
}

/** The user logged out. Kept, so that the next start does not log in silently. */
export interface SignedOut {
  state: 'out'
  baseURL: string
}

export type StoredRecord = SignedIn | SignedOut

export function readRecord(raw: unknown, baseURL: string): StoredRecord | undefined {
  if (typeof raw !== 'string' || !raw) return undefined
  let record: Partial<SignedIn> | Partial<SignedOut> | null
  try {
    record = JSON.parse(raw)
  } catch {
    return undefined
  }
  if (!record || record.baseURL !== baseURL) return undefined
  if (record.state === 'out') return record as SignedOut
  const isWhole = record.state === 'in' && typeof record.token === 'string' && typeof record.refreshToken === 'string'
  return isWhole ? (record as SignedIn) : undefined
}

export function toRecord(tokens: Tokens, baseURL: string, runtime: Runtime, clock: ServerClock): SignedIn {
  const { token, refreshToken, expiresIn } = tokens
  return { state: 'in', baseURL, token, refreshToken, expiresIn, received: runtime.now(), served: clock.now() }
}

/** At most this long before its end a token is refreshed ahead, in seconds. */
const MARGIN = 60

/**
 * Whether the access token is about to expire, as far as the phone can tell. It is a hint that spares a request which
 * the backend would refuse; only the backend's answer decides. `receivedAt` is the moment of receipt by the monotonic
 * clock, if it was received by this process. Otherwise the backend's clock is compared with itself; until an answer has
 * told it, the phone's with itself, and if that has gone backwards, nothing is concluded.
 */
export function isExpiring(
  record: SignedIn,
  receivedAt: number | undefined,
  runtime: Runtime,
  clock: ServerClock,
): boolean {
  const lifetime = Number(record.expiresIn) || Infinity
  const margin = Math.min(MARGIN, lifetime / 10)
  return ageOf(record, receivedAt, runtime, clock) / 1000 >= lifetime - margin
}

function ageOf(record: SignedIn, receivedAt: number | undefined, runtime: Runtime, clock: ServerClock): number {
  if (receivedAt !== undefined) return runtime.monotonic() - receivedAt
  return clock.isKnown() ? clock.now() - record.served : runtime.now() - record.received
}

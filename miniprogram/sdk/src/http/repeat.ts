import { type CancelSignal, throwIfCancelled, unlessCancelled } from '../cancel'
import { isWeappError, type WeappError } from '../errors'
import type { Runtime } from '../runtime'

export interface RetryPolicy {
  /** How often a call is repeated at most. */
  retries: number
  /** The longest wait before a repetition, in milliseconds. What the backend wants to be longer, the page decides on. */
  maxWait: number
}

export const BASE_DELAY = 300

/** The answers that say that nothing was done. */
const NOT_CARRIED_OUT = ['rate_limited', 'request_timeout']
/** What passes by itself. Whether something was done is unknown. */
const TRANSIENT = ['unavailable', 'upstream_timeout', 'network', 'timeout']

/**
 * How long to wait before the call is repeated, in milliseconds; `undefined` if it isn't to be. Calls that would do
 * something twice are repeated only where nothing was done. Without a network at all, repeating is pointless.
 */
export function delayBefore(
  error: WeappError,
  repeatable: boolean,
  attempt: number,
  policy: RetryPolicy,
  random: () => number,
): number | undefined {
  const may = NOT_CARRIED_OUT.indexOf(error.reason) >= 0 || (repeatable && TRANSIENT.indexOf(error.reason) >= 0)
  if (!may || attempt >= policy.retries) return undefined
  const backoff = Math.min(BASE_DELAY * 2 ** attempt, policy.maxWait)
  // `Retry-After` is the earliest moment; the jitter keeps phones that were refused together from returning together.
  const wait =
    error.retryAfter === undefined
      ? backoff / 2 + (random() * backoff) / 2
      : error.retryAfter * 1000 + random() * backoff
  const earliest = (error.retryAfter || 0) * 1000
  return earliest > policy.maxWait ? undefined : wait
}

export function sleep(runtime: Runtime, ms: number, signal?: CancelSignal): Promise<void> {
  let timer: unknown
  const slept = new Promise<void>((resolve) => {
    timer = runtime.setTimeout(resolve, ms)
  })
  return unlessCancelled(slept, signal).catch((error) => {
    runtime.clearTimeout(timer)
    throw error
  })
}

/** Does `work`, and again after failures that pass. */
export async function repeating<T>(
  runtime: Runtime,
  policy: RetryPolicy,
  repeatable: boolean,
  signal: CancelSignal | undefined,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    throwIfCancelled(signal)
    try {
      return await work(attempt)
    } catch (error) {
      const wait = isWeappError(error) ? delayBefore(error, repeatable, attempt, policy, runtime.random) : undefined
      if (wait === undefined) throw error
      await sleep(runtime, wait, signal)
    }
  }
}

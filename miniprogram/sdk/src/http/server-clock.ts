import type { Runtime } from '../runtime'

/**
 * The backend's clock, as far as its answers tell it: the phone's can be wrong by hours. Only sealed bodies need the
 * time itself; the age of tokens is measured by differences.
 */
export interface ServerClock {
  /** Milliseconds since 1970: the phone's clock until the first answer. */
  now(): number
  /** Whether an answer has told the time. */
  isKnown(): boolean
  observe(date: string | undefined): void
}

export function serverClock(runtime: Runtime): ServerClock {
  let offset: number | undefined
  return {
    now: () => runtime.now() + (offset || 0),
    isKnown: () => offset !== undefined,
    observe(date) {
      const time = Date.parse(date || '')
      // A difference to the phone's clock, not to a monotonic one, which stands still while the phone sleeps. Every
      // answer measures anew, so that a phone's clock that jumps is followed.
      if (!Number.isNaN(time)) offset = time - runtime.now()
    },
  }
}

import { WeappError } from './errors'

/** What the SDK needs of an `AbortSignal`. The platform's own fits; mini-programs have none, see `createCanceller`. */
export interface CancelSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface Canceller {
  readonly signal: CancelSignal
  cancel(): void
}

/** An `AbortController` for engines that have none. */
export function createCanceller(): Canceller {
  const listeners = new Set<() => void>()
  let aborted = false
  return {
    signal: {
      get aborted() {
        return aborted
      },
      addEventListener: (_type, listener) => {
        listeners.add(listener)
      },
      removeEventListener: (_type, listener) => {
        listeners.delete(listener)
      },
    },
    cancel() {
      if (aborted) return
      aborted = true
      for (const listener of Array.from(listeners)) listener()
      listeners.clear()
    },
  }
}

const cancelled = () => new WeappError({ kind: 'cancelled', reason: 'cancelled' })

export function throwIfCancelled(signal: CancelSignal | undefined): void {
  if (signal?.aborted) throw cancelled()
}

/**
 * The outcome of `work`, or a rejection as soon as the signal is cancelled. The work itself goes on: it may be shared
 * with other calls, as a refresh is.
 */
export function unlessCancelled<T>(work: Promise<T>, signal: CancelSignal | undefined): Promise<T> {
  if (!signal) return work
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(cancelled())
    if (signal.aborted) {
      // The caller is gone, and nobody else may be there to hear of a failure.
      work.catch(() => undefined)
      stop()
      return
    }
    signal.addEventListener('abort', stop)
    const forget = () => signal.removeEventListener('abort', stop)
    work.then(
      (value) => {
        forget()
        resolve(value)
      },
      (error) => {
        forget()
        reject(error)
      },
    )
  })
}

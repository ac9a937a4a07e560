import { within } from './deadline'
import { hasReason } from './errors'
import type { Runtime } from './runtime'

type MaybePromise<T> = T | PromiseLike<T>

/**
 * Where the session is kept over restarts, shared by all contexts of the mini-program. Each function may throw, reject,
 * or never answer: the SDK then goes on with what it has in memory.
 */
export interface Storage {
  get(key: string): MaybePromise<unknown>
  set(key: string, value: string): MaybePromise<void>
  remove(key: string): MaybePromise<void>
}

/** For one process only: tests, and platforms without a storage. */
export function memoryStorage(): Storage {
  const values = new Map<string, string>()
  return {
    get: (key) => values.get(key),
    set: (key, value) => {
      values.set(key, value)
    },
    remove: (key) => {
      values.delete(key)
    },
  }
}

/** How long a storage may take for an answer, in milliseconds. */
export const STORAGE_LIMIT = 1_000
/** How long one that did not answer is left alone, in milliseconds. */
export const STORAGE_PAUSE = 10_000

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'

/**
 * A storage that fails where the given one does not answer in time: the asynchronous functions of `wx` sometimes never
 * call back. After that it fails at once for a while, so that a call that needs it several times waits only once.
 */
export function punctualStorage(storage: Storage, runtime: Runtime): Storage {
  let failedAt: number | undefined

  const isPaused = () => {
    if (failedAt === undefined) return false
    const since = runtime.monotonic() - failedAt
    // A clock that went back, as a mini-program's can, is no reason to wait for longer.
    return since >= 0 && since < STORAGE_PAUSE
  }

  const punctual = async <T>(work: () => MaybePromise<T>): Promise<T> => {
    if (isPaused()) throw new Error('the storage did not answer')
    const outcome = work()
    if (!isPromise(outcome)) return outcome
    return within(runtime, STORAGE_LIMIT, () => outcome).catch((error) => {
      if (hasReason(error, 'timeout')) failedAt = runtime.monotonic()
      throw error
    })
  }

  return {
    get: (key) => punctual(() => storage.get(key)),
    set: (key, value) => punctual(() => storage.set(key, value)),
    remove: (key) => punctual(() => storage.remove(key)),
  }
}

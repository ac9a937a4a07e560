type MaybePromise<T> = T | PromiseLike<T>

/**
 * Where the session is kept over restarts, shared by all contexts of the mini-program. Each function may throw or
 * reject: the SDK then goes on with what it has in memory.
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

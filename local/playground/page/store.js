/**
 * A value that parts of the page share. Each change calls the listeners.
 *
 * @template T
 * @typedef {{ get(): T, set(next: T): void, update(change: (value: T) => T): void, subscribe(listener: (value: T) => void): () => void }} Store
 */

/**
 * @template T
 * @param {T} initial
 * @returns {Store<T>}
 */
export function createStore(initial) {
  let value = initial
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set()
  /** @param {T} next */
  const set = (next) => {
    value = next
    for (const listener of [...listeners]) listener(next)
  }
  return {
    get: () => value,
    set,
    update: (change) => set(change(value)),
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

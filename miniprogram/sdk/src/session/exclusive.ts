import type { StorageLock } from './lock'
import type { Vault } from './vault'

/** Runs what changes the session: one at a time in all contexts, each with the newest record. */
export type Exclusive = <T>(work: () => Promise<T>) => Promise<T>

export function createExclusive(lock: StorageLock, vault: Vault): Exclusive {
  /** The tail of this context's queue: the lock is for other contexts. */
  let tail: Promise<unknown> = Promise.resolve()
  return (work) => {
    const locked = () =>
      lock.run(async () => {
        await vault.sync()
        return work()
      })
    const outcome = tail.then(locked)
    tail = outcome.catch(() => undefined)
    return outcome
  }
}

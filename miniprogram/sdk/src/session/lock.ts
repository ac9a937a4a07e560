import { parsed } from '../http/answer'
import { sleep } from '../http/repeat'
import type { Runtime } from '../runtime'
import type { Storage } from '../storage'

/** A lock that its holder does not renew is free after this, in milliseconds: the holder's context was closed. */
export const LOCK_TTL = 10_000
const RENEWAL = LOCK_TTL / 3
const POLL = 50
/** Between writing the lock and reading it back: the context that wrote last in that time has it. */
const SETTLE = 15

interface Holder {
  owner: string
  until: number
}

/**
 * A lock among contexts that share a storage and nothing else. Such a storage has no compare-and-set, so two can hold it
 * in rare cases, and nobody does when the storage fails. That is no danger: the backend gives two refreshes with one
 * token the same successor for a while (`REFRESH_GRACE_SECONDS`). The lock spares requests, and covers what takes longer.
 */
export interface StorageLock {
  run<T>(work: () => Promise<T>): Promise<T>
}

export function storageLock(storage: Storage, key: string, runtime: Runtime): StorageLock {
  const owner = `${runtime.now()}.${runtime.random()}`

  /** Its holder. What can't be read is no lock: it would otherwise stay for ever. */
  const holder = async (): Promise<string | undefined> => {
    const held = parsed(await storage.get(key)) as Partial<Holder> | null | undefined
    const left = Number(held?.until) - runtime.now()
    // More than a whole term: the phone's clock was set back since.
    return left > 0 && left <= LOCK_TTL ? held?.owner : undefined
  }

  const write = () => storage.set(key, JSON.stringify({ owner, until: runtime.now() + LOCK_TTL }))

  /** Timers stop while the mini-program is in the background: another context may have taken the lock meanwhile. */
  const unlessTaken = async (work: () => void | PromiseLike<void>) => {
    const held = await holder()
    if (held === undefined || held === owner) await work()
  }

  /** Whether the lock is ours. After two terms of somebody else who goes on renewing, it goes on without. */
  const acquire = async (): Promise<boolean> => {
    const giveUp = runtime.monotonic() + 2 * LOCK_TTL
    while (runtime.monotonic() < giveUp) {
      if (!(await holder())) {
        await write()
        await sleep(runtime, SETTLE)
        if ((await holder()) === owner) return true
      }
      await sleep(runtime, POLL)
    }
    return false
  }

  const renewing = () => {
    let timer: unknown
    let isStopped = false
    const again = () => {
      timer = runtime.setTimeout(() => {
        // A failure leaves the lock to expire.
        unlessTaken(() => (isStopped ? undefined : write())).catch(() => undefined)
        again()
      }, RENEWAL)
    }
    again()
    return () => {
      isStopped = true
      runtime.clearTimeout(timer)
    }
  }

  return {
    async run(work) {
      const isHeld = await acquire().catch(() => false)
      if (!isHeld) return work()
      const stop = renewing()
      try {
        return await work()
      } finally {
        stop()
        await unlessTaken(() => storage.remove(key)).catch(() => undefined)
      }
    },
  }
}

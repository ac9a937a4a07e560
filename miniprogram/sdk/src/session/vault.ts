import type { ServerClock } from '../http/server-clock'
import type { Runtime } from '../runtime'
import type { Storage } from '../storage'
import type { Tokens } from '../types'
import { isExpiring, readRecord, type StoredRecord, toRecord } from './record'

/** The session's record: one copy in memory, one in the storage, which other contexts change, too. */
export interface Vault {
  /** What is known, without reading the storage again. */
  current(): StoredRecord | undefined
  /** Takes over what another context has stored meanwhile. */
  sync(): Promise<StoredRecord | undefined>
  keep(tokens: Tokens): Promise<string>
  signOut(): Promise<void>
  isExpiring(): boolean
}

/** More writes than that are not on their way at the same time. */
const MAX_LATE = 4

export function createVault(
  storage: Storage,
  key: string,
  baseURL: string,
  runtime: Runtime,
  clock: ServerClock,
): Vault {
  let record: StoredRecord | undefined
  /** When this process received the tokens; unknown for those from the storage. */
  let receivedAt: number | undefined
  /** What the storage held when it was last read or written: only a change of it is news from another context. */
  let seen: unknown
  /** What this process could not write in time, and a slow storage may write all the same, later: that is no news. */
  let late: string[] = []

  const read = async () => {
    const raw = (await storage.get(key)) || undefined
    if (raw === seen || late.indexOf(raw as string) >= 0) return
    seen = raw
    record = readRecord(raw, baseURL)
    receivedAt = undefined
  }

  /** A full or broken storage costs the next start a login, nothing else. */
  const write = async (next: StoredRecord) => {
    record = next
    const raw = JSON.stringify(next)
    try {
      await storage.set(key, raw)
      seen = raw
    } catch {
      late = [...late.slice(-MAX_LATE), raw]
      // What is still stored is outdated: its refresh token is used up.
      await Promise.resolve()
        .then(() => storage.remove(key))
        .catch(() => undefined)
      seen = await Promise.resolve()
        .then(() => storage.get(key))
        .then(
          (left) => left || undefined,
          () => seen,
        )
    }
  }

  return {
    current: () => record,
    async sync() {
      await read().catch(() => undefined)
      return record
    },
    async keep(tokens) {
      receivedAt = runtime.monotonic()
      await write(toRecord(tokens, baseURL, runtime, clock))
      return tokens.token
    },
    signOut: () => write({ state: 'out', baseURL }),
    isExpiring: () => record?.state === 'in' && isExpiring(record, receivedAt, runtime, clock),
  }
}

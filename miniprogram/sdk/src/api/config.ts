import { throwIfCancelled, unlessCancelled } from '../cancel'
import { isWeappError } from '../errors'
import type { Caller, CallOptions } from '../http/caller'
import { segment } from '../http/segment'
import type { Runtime } from '../runtime'
import { sharing } from '../sharing'
import type { ConfigValue } from '../types'

export interface ConfigApi {
  /**
   * A value of remote configuration, `undefined` if the key has none. It is kept for as long as the backend allows, and
   * longer while the backend is not reached. Calls at the same time share one request.
   */
  get<T>(key: string, options?: CallOptions): Promise<T | undefined>
}

interface Cached {
  value: unknown
  since: number
  /** Milliseconds. */
  lifetime: number
}

export function configApi(caller: Caller, runtime: Runtime): ConfigApi {
  const cache = new Map<string, Cached>()

  const shared = sharing<unknown>()

  const fetched = async (key: string): Promise<unknown> => {
    const path = `/api/v1/config/${segment(key)}`
    const { data, headers } = await caller({ method: 'GET', path, isPublic: true })
    const { value } = data as ConfigValue
    const [, seconds = '0'] = /max-age=(\d+)/.exec(headers['cache-control'] || '') || []
    cache.set(key, { value, since: runtime.monotonic(), lifetime: Number(seconds) * 1000 })
    return value
  }

  /** Not after a clock that went back, either: in a mini-program the monotonic clock is only the phone's. */
  const isFresh = ({ since, lifetime }: Cached) => {
    const age = runtime.monotonic() - since
    return age >= 0 && age < lifetime
  }

  const current = async (key: string): Promise<unknown> => {
    const known = cache.get(key)
    try {
      return await fetched(key)
    } catch (error) {
      if (!isWeappError(error)) throw error
      if (error.reason === 'not_found') {
        cache.delete(key)
        return undefined
      }
      const isUnreached = error.kind === 'network' || (error.status || 0) >= 500
      if (known && isUnreached) return known.value
      throw error
    }
  }

  return {
    async get<T>(key: string, { signal }: CallOptions = {}) {
      const known = cache.get(key)
      if (known && isFresh(known)) return known.value as T
      throwIfCancelled(signal)
      return (await unlessCancelled(
        shared(key, () => current(key)),
        signal,
      )) as T
    },
  }
}

import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { pathWith } from '../http/query'
import { segment } from '../http/segment'
import type { ConfigValue } from '../types'
import type { ConfigPage } from './types'

export interface ConfigPosition {
  /** Keys on a page, 1 to 100. Default 20. */
  limit?: number
  /** That of the page before. */
  cursor?: string | null
}

export interface ConfigAdminApi {
  /** A page of the keys, without their values. It goes on with `cursor`, and ends only where that is `null`. */
  list(position?: ConfigPosition, options?: CallOptions): Promise<ConfigPage>
  /** The value with its `version`, as the backend has it now: not kept in memory as `client.config.get` does. */
  get(key: string, options?: CallOptions): Promise<ConfigValue>
  /**
   * Writes a value, any JSON. `version` is the one that it replaces, `undefined` for a new key. Rejects with `conflict` if
   * the key has another version by now. It is not repeated by itself: after an answer that was lost, `get` tells.
   */
  set(key: string, value: unknown, version?: number, options?: CallOptions): Promise<ConfigValue>
  /** Deletes a value: any version of it, or this one only. */
  delete(key: string, version?: number, options?: CallOptions): Promise<void>
}

export function configAdminApi({ request }: Pick<Client, 'request'>): ConfigAdminApi {
  const path = '/api/v1/config'
  const one = (key: string) => `${path}/${segment(key)}`
  return {
    list: ({ limit, cursor } = {}, options) => request('GET', pathWith(path, { limit, cursor }), options),
    get: async (key, options) => request('GET', one(key), { ...options, isPublic: true }),
    set: async (key, value, version, options) =>
      // Done twice, the second one would find the version of the first one.
      request('PUT', one(key), { ...options, body: { value, version }, repeatable: false }),
    async delete(key, version, options) {
      const body = version === undefined ? {} : { body: { version } }
      // For the same reason: it would find no value.
      await request('DELETE', one(key), { ...options, ...body, repeatable: false })
    },
  }
}

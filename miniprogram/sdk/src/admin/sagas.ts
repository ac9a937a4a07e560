import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { segment } from '../http/segment'
import type { ResumedSaga, Saga } from './types'

export interface SagasApi {
  /** Deletions and merges that have not ended: the oldest 100, oldest first. */
  list(options?: CallOptions): Promise<Saga[]>
  /** Continues one where it stands. */
  resume(id: string, options?: CallOptions): Promise<ResumedSaga>
}

export function sagasApi({ request }: Pick<Client, 'request'>): SagasApi {
  const path = '/api/v1/sagas'
  return {
    list: async (options) => (await request<{ sagas: Saga[] }>('GET', path, options)).sagas,
    resume: async (id, options) =>
      // Going on twice is going on.
      request('POST', `${path}/${segment(id)}/resume`, { ...options, repeatable: true }),
  }
}

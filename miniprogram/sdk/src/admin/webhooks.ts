import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { segment } from '../http/segment'
import type { FailedWebhook, RedeliveredWebhook } from './types'

export interface WebhooksApi {
  /** Webhooks that a receiver did not get: the newest 100. */
  failures(options?: CallOptions): Promise<FailedWebhook[]>
  /**
   * Sends one again, with the same id. Rejects with `not_found` if it was sent again already, also by a call before whose
   * answer was lost.
   */
  redeliver(id: string, options?: CallOptions): Promise<RedeliveredWebhook>
}

export function webhooksApi({ request }: Pick<Client, 'request'>): WebhooksApi {
  const path = '/api/v1/webhooks/failures'
  return {
    failures: async (options) => (await request<{ failures: FailedWebhook[] }>('GET', path, options)).failures,
    redeliver: async (id, options) => request('POST', `${path}/${segment(id)}/redeliver`, options),
  }
}

import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { pathWith } from '../http/query'
import { segment } from '../http/segment'
import type { FailedWebhookPage, RedeliveredWebhook } from './types'

export interface FailuresPosition {
  /** Those to this receiver only. */
  receiver?: string
  /** Deliveries on a page, 1 to 100. Default 20. */
  limit?: number
  /** That of the page before. */
  cursor?: string | null
}

export interface WebhooksApi {
  /** A page of the webhooks that a receiver did not get, newest first. It ends only where `cursor` is `null`. */
  failures(position?: FailuresPosition, options?: CallOptions): Promise<FailedWebhookPage>
  /**
   * Sends one again, with the same id. Rejects with `not_found` if it was sent again already, also by a call before whose
   * answer was lost.
   */
  redeliver(id: string, options?: CallOptions): Promise<RedeliveredWebhook>
}

export function webhooksApi({ request }: Pick<Client, 'request'>): WebhooksApi {
  const path = '/api/v1/webhooks/failures'
  return {
    failures: ({ receiver, limit, cursor } = {}, options) =>
      request('GET', pathWith(path, { receiver, limit, cursor }), options),
    redeliver: async (id, options) => request('POST', `${path}/${segment(id)}/redeliver`, options),
  }
}

import type { CallOptions } from '../http/caller'
import { pathWith } from '../http/query'
import type { ActivityPage } from '../types'
import type { Api } from './api'

export interface ActivityPosition {
  /** Entries on a page, 1 to 100. Default 20. */
  limit?: number
  /** That of the page before. */
  cursor?: string | null
}

export interface ActivityApi {
  /**
   * A page of what happened to the account, newest first. An entry is there some seconds after what it is about. The list
   * goes on with `cursor`, and ends only where that is `null`.
   */
  list(position?: ActivityPosition, options?: CallOptions): Promise<ActivityPage>
}

export function activityApi({ call }: Api): ActivityApi {
  return {
    list: ({ limit, cursor } = {}, options) =>
      call({ method: 'GET', path: pathWith('/api/v1/user/activity', { limit, cursor }), ...options }),
  }
}

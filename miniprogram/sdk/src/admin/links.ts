import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import type { LinkRequest, UrlLink } from './types'

export interface LinksApi {
  /**
   * Has WeChat make an address that opens the mini-program from a text message or a browser. It may have been made before,
   * for the same request: `expiresAt` says how long it is valid.
   */
  create(link?: LinkRequest, options?: CallOptions): Promise<UrlLink>
}

export function linksApi({ request }: Pick<Client, 'request'>): LinksApi {
  return {
    create: (link = {}, options) =>
      // A second link is as good as the first one.
      request('POST', '/api/v1/url-links', { ...options, body: link, repeatable: true }),
  }
}

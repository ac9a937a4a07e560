/**
 * What administrators do: users, deletions and merges that did not end, remote configuration, webhooks, messages, links. A
 * module of its own, because the mini-program of users needs none of it. The backend decides who is an administrator, with
 * each request.
 */
import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { type ConfigAdminApi, configAdminApi } from './config'
import { type LinksApi, linksApi } from './links'
import { type MessagesApi, messagesApi } from './messages'
import { type SagasApi, sagasApi } from './sagas'
import type { HealthReport } from './types'
import { type UsersApi, usersApi } from './users'
import { type WebhooksApi, webhooksApi } from './webhooks'

export type { ConfigAdminApi, ConfigPosition } from './config'
export type { LinksApi } from './links'
export type { MessagesApi, MessagesPosition } from './messages'
export type { SagasApi } from './sagas'
export type * from './types'
export type { UserFilter, UsersApi } from './users'
export type { FailuresPosition, WebhooksApi } from './webhooks'

export interface AdminApi {
  users: UsersApi
  sagas: SagasApi
  config: ConfigAdminApi
  webhooks: WebhooksApi
  messages: MessagesApi
  links: LinksApi
  /**
   * How the backend is; anybody may ask. `deep` probes what it depends on. Where it is down, rejects with `unavailable`,
   * and the error's `data` is the report.
   */
  health(options?: CallOptions & { deep?: boolean }): Promise<HealthReport>
}

/** The methods of administrators, with the session of `client`. All others are refused as `forbidden`. */
export function adminApi(client: Pick<Client, 'request'>): AdminApi {
  // The client may be an object of a class.
  const api: Pick<Client, 'request'> = { request: (...call) => client.request(...call) }
  return {
    users: usersApi(api),
    sagas: sagasApi(api),
    config: configAdminApi(api),
    webhooks: webhooksApi(api),
    messages: messagesApi(api),
    links: linksApi(api),
    health: ({ deep = false, signal } = {}) =>
      // What is asked for is how it is now, not how it will be.
      api.request('GET', deep ? '/health?deep=1' : '/health', { isPublic: true, repeatable: false, signal }),
  }
}

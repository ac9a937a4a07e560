import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { pathWith } from '../http/query'
import { segment } from '../http/segment'
import type { Message, MessagePage, NewMessage, OrderedMessage } from './types'

export interface MessagesPosition {
  /** Messages on a page, 1 to 100. Default 20. */
  limit?: number
  /** That of the page before. */
  cursor?: string | null
}

export interface MessagesApi {
  /**
   * Has a message sent to a user. The same `idempotencyKey` and message again sends nothing twice, and is answered with how
   * far it is. Rejects with `idempotency_key_reused` if the key was used for another message.
   */
  send(message: NewMessage, options?: CallOptions): Promise<OrderedMessage>
  /** How far a message is. */
  get(userId: string, messageId: string, options?: CallOptions): Promise<Message>
  /** A page of the messages to a user, newest first. It ends only where `cursor` is `null`. */
  list(userId: string, position?: MessagesPosition, options?: CallOptions): Promise<MessagePage>
}

export function messagesApi({ request }: Pick<Client, 'request'>): MessagesApi {
  const of = (userId: string) => `/api/v1/users/${segment(userId)}/messages`
  return {
    send: async (message, options) =>
      // The key makes a repetition the same order.
      request('POST', '/api/v1/messages', { ...options, body: message, repeatable: true }),
    get: async (userId, messageId, options) => request('GET', `${of(userId)}/${segment(messageId)}`, options),
    list: async (userId, { limit, cursor } = {}, options) =>
      request('GET', pathWith(of(userId), { limit, cursor }), options),
  }
}

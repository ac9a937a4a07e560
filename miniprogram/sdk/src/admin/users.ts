import type { ActivityPosition } from '../api/activity'
import type { Client } from '../client'
import type { CallOptions } from '../http/caller'
import { pathWith } from '../http/query'
import { segment } from '../http/segment'
import type { ActivityPage, User } from '../types'
import type {
  DeletionOutcome,
  NewUser,
  UserDeletion,
  UserDetail,
  UserPage,
  UserPatch,
  UserStatus,
  UserSummary,
} from './types'

export interface UserFilter {
  status?: UserStatus
  /** Users who are known in this mini-program. */
  appId?: string
  /** Users on a page, 1 to 100. Default 20. */
  limit?: number
  /** That of the page before, with the same filters. */
  cursor?: string | null
}

export interface UsersApi {
  /** A page of the users, newest first. With filters a page can be short, or empty, and others still follow. */
  list(filter?: UserFilter, options?: CallOptions): Promise<UserPage>
  /** The user with this number: one or none, several only where it was bound twice. */
  search(phone: string, options?: CallOptions): Promise<UserSummary[]>
  get(id: string, options?: CallOptions): Promise<UserDetail>
  /** Changes the fields that are named. Rejects with `conflict` if the user has another version by now. */
  update(id: string, patch: UserPatch, options?: CallOptions): Promise<User>
  /** Deletes an account at once, whatever the cooling-off time is. Can't be undone. */
  delete(id: string, options?: CallOptions): Promise<UserDeletion>
  /** The same for 1 to 100 accounts, each with an outcome of its own. */
  batchDelete(ids: string[], options?: CallOptions): Promise<DeletionOutcome[]>
  /** A page of what happened to the account, newest first, with who did it. It ends only where `cursor` is `null`. */
  activity(id: string, position?: ActivityPosition, options?: CallOptions): Promise<ActivityPage>
  /** Ends all sessions of a user, who logs in again silently: to keep somebody out, set `status` to `disabled`. */
  endSessions(id: string, options?: CallOptions): Promise<void>
  /**
   * Moves a person in from another backend. Rejects with `user_exists` where an identity or the number is another user's,
   * or, after an answer that was lost, the user's whom the call before has made.
   */
  moveIn(person: NewUser, options?: CallOptions): Promise<User>
}

const PATH = '/api/v1/users'

export function usersApi({ request }: Pick<Client, 'request'>): UsersApi {
  const one = (id: string) => `${PATH}/${segment(id)}`
  return {
    list: ({ status, appId, limit, cursor } = {}, options) =>
      request('GET', pathWith(PATH, { status, appId, limit, cursor }), options),
    async search(phone, options) {
      // Only a question, whatever its method is: a number has no place in an address.
      const found = { ...options, body: { phone }, repeatable: true }
      return (await request<UserPage>('POST', `${PATH}/search`, found)).users
    },
    get: async (id, options) => request('GET', one(id), options),
    update: async (id, patch, options) => request('PUT', one(id), { ...options, body: patch }),
    delete: async (id, options) => request('DELETE', one(id), options),
    async batchDelete(ids, options) {
      // A deletion that is asked for again is answered as before.
      const deletion = { ...options, body: { ids }, repeatable: true }
      return (await request<{ outcomes: DeletionOutcome[] }>('POST', `${PATH}/batch-delete`, deletion)).outcomes
    },
    activity: async (id, { limit, cursor } = {}, options) =>
      request('GET', pathWith(`${one(id)}/activity`, { limit, cursor }), options),
    async endSessions(id, options) {
      await request('DELETE', `${one(id)}/sessions`, options)
    },
    moveIn: (person, options) => request('POST', PATH, { ...options, body: person }),
  }
}

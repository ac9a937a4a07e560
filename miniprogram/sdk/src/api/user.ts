import type { CallOptions } from '../http/caller'
import type { ProfilePatch, User } from '../types'
import type { Api } from './api'

export interface UserApi {
  /** The user's profile. */
  get(options?: CallOptions): Promise<User>
  /** Changes the fields that are named; `null` clears. */
  update(patch: ProfilePatch, options?: CallOptions): Promise<User>
}

export function userApi({ call }: Api): UserApi {
  const path = '/api/v1/user/info'
  return {
    get: (options) => call({ method: 'GET', path, ...options }),
    // PUT does what PATCH does, and `wx.request` has no PATCH.
    update: (patch, options) => call({ method: 'PUT', path, body: patch, ...options }),
  }
}

/** The client of weapp-serverless for WeChat mini-programs. */

export type { AccountApi, ConsentsApi, SessionsApi } from './api/account'
export type { ActivityApi, ActivityPosition } from './api/activity'
export type { AvatarApi } from './api/avatar'
export type { CodesApi } from './api/codes'
export type { ConfigApi } from './api/config'
export type { PhoneApi } from './api/phone'
export type { SubscribeMessageResult, SubscriptionsApi } from './api/subscriptions'
export type { UserApi } from './api/user'
export type { DecryptOptions, WeChatDataApi } from './api/wechat-data'
export { type Canceller, type CancelSignal, createCanceller } from './cancel'
export { type Client, type ClientOptions, createClient, type LogoutOptions, type RequestOptions } from './client'
export { type ClientReason, type ErrorKind, hasReason, isWeappError, WeappError } from './errors'
export type { CallOptions } from './http/caller'
export type { SealedModule, SealedOptions, SealRequest } from './http/sealing'
export { fetchPlatform, type Picture, type Platform, wxPlatform } from './platform'
export type { Runtime } from './runtime'
export type { LoginOptions } from './session/sign-in'
export { memoryStorage, type Storage } from './storage'
export { adaptTransport, type LibraryResponse } from './transport/adapt'
export { fetchTransport } from './transport/fetch'
export {
  type Transport,
  TransportError,
  type TransportFailure,
  type TransportRequest,
  type TransportResponse,
  type UploadRequest,
} from './transport/transport'
export { type WxLike, wxTransport } from './transport/wx-like'
export type * from './types'

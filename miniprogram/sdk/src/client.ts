import {
  type AccountApi,
  accountApi,
  type ConsentsApi,
  consentsApi,
  type SessionsApi,
  sessionsApi,
} from './api/account'
import { type ActivityApi, activityApi } from './api/activity'
import { type AvatarApi, avatarApi } from './api/avatar'
import { type CodesApi, codesApi } from './api/codes'
import { type ConfigApi, configApi } from './api/config'
import { type PhoneApi, phoneApi } from './api/phone'
import { type SubscriptionsApi, subscriptionsApi } from './api/subscriptions'
import { type UserApi, userApi } from './api/user'
import { type WeChatDataApi, weChatDataApi } from './api/wechat-data'
import { within } from './deadline'
import { type CallOptions, createCaller, type Request } from './http/caller'
import { createExchange } from './http/exchange'
import { repeating } from './http/repeat'
import { createSealing, type SealedOptions } from './http/sealing'
import { serverClock } from './http/server-clock'
import { createTargets } from './http/target'
import { detectPlatform, type Platform } from './platform'
import { type Runtime, systemRuntime } from './runtime'
import { storageLock } from './session/lock'
import { createSession } from './session/session'
import { createSignIn, type LoginOptions } from './session/sign-in'
import { createVault } from './session/vault'
import { punctualStorage, type Storage } from './storage'
import type { Transport } from './transport/transport'
import type { LoginResult } from './types'

export interface ClientOptions {
  /** `https://api.example.com`, with the stage if the URL has one. */
  baseURL: string
  /**
   * Origins of functions of your own that get the user's token, as in `['https://functions.example.com']`: what
   * `client.request` may call beside the backend. `http` only on this machine, or where `baseURL` is `http`.
   */
  origins?: readonly string[]
  /** Needed only where the backend serves several mini-programs. */
  appId?: string
  /** By default what the code runs on: `wx`, `uni`, or `fetch`. */
  platform?: Platform
  /** In place of the platform's. */
  transport?: Transport
  /** In place of the platform's. One that does not answer within a second counts as one that fails. */
  storage?: Storage
  /** In place of `wx.login`. */
  getCode?: () => Promise<string>
  /** How long one request may take, in milliseconds; a picture's upload three times as long. Default 10,000. */
  timeout?: number
  /** How often a request that can be repeated is repeated. Default 2. */
  retries?: number
  /** The longest wait before a repetition, in milliseconds; if the backend wants a longer one, the call fails. Default 5,000. */
  maxRetryWait?: number
  /** The name of the session in the storage. Default `weapp-session`. */
  storageKey?: string
  /** Seals request bodies. */
  sealed?: SealedOptions
  /** Called after every login, silent ones included. */
  onLogin?: (result: LoginResult) => void
  /** Time and randomness, for tests. */
  runtime?: Runtime
}

export interface LogoutOptions {
  /** Ends all sessions of the user, on all devices. */
  all?: boolean
}

export interface RequestOptions extends CallOptions {
  /** Sent as JSON. */
  body?: unknown
  /** Whether doing it twice is the same as doing it once; by default all methods but POST. Only then is it repeated. */
  repeatable?: boolean
  /** Without logging in and without a token. */
  isPublic?: boolean
  /** Overrides `sealed.when` of the client. */
  sealed?: boolean
}

export interface Client extends WeChatDataApi {
  /** Logs in, also after a logout. Other methods log in by themselves: this one is for what only a login can do. */
  login(options?: LoginOptions): Promise<LoginResult>
  /**
   * Logs out. From now on calls fail with `signed_out` until `login()`, also after a restart. If it rejects, the phone has
   * forgotten the session, but the backend was not told.
   */
  logout(options?: LogoutOptions): Promise<void>
  isSignedOut(): Promise<boolean>
  /**
   * Any endpoint of the backend, with everything that the other methods do; the result is the `data` of the answer. Or,
   * by its whole address, a function of your own at one of `origins`, with the same token, refreshes and repetitions; the
   * result is the whole body, parsed if it is JSON, and `null` if it is empty. Bodies to it are not sealed.
   */
  request<T>(method: Request['method'], path: string, options?: RequestOptions): Promise<T>
  user: UserApi
  phone: PhoneApi
  avatar: AvatarApi
  sessions: SessionsApi
  consents: ConsentsApi
  subscriptions: SubscriptionsApi
  account: AccountApi
  activity: ActivityApi
  config: ConfigApi
  codes: CodesApi
}

/** The client of one backend. Make one for the whole mini-program, so that all pages share the session. */
export function createClient(options: ClientOptions): Client {
  const { timeout = 10_000, retries = 2, maxRetryWait = 5_000, storageKey = 'weapp-session' } = options
  const { runtime = systemRuntime, platform = detectPlatform(), appId } = options
  const baseURL = options.baseURL.replace(/\/+$/, '')
  const { transport = platform.transport } = options
  const storage = punctualStorage(options.storage || platform.storage, runtime)
  // A platform may be an object of a class, and may not answer.
  const inPlatform = <A, T>(work: ((argument: A) => Promise<T>) | undefined) =>
    work && ((argument: A) => within(runtime, timeout, () => work.call(platform, argument)))
  const inspect = inPlatform(platform.inspectPicture)
  const randomBytes = inPlatform(platform.randomBytes)
  const getCode = options.getCode || platform.getCode?.bind(platform)
  const policy = { retries, maxWait: maxRetryWait }
  const target = createTargets(baseURL, options.origins || [])

  const clock = serverClock(runtime)
  const sealing = options.sealed && createSealing(options.sealed, runtime, clock, randomBytes)
  const exchange = createExchange({ baseURL, transport, runtime, clock, timeout, sealing })
  const session = createSession({
    vault: createVault(storage, storageKey, baseURL, runtime, clock),
    lock: storageLock(storage, `${storageKey}.lock`, runtime),
    signIn: createSignIn({ exchange, runtime, policy, timeout, appId, getCode }),
    onLogin: options.onLogin,
  })
  const caller = createCaller(exchange, session, runtime, policy)
  const call = async <T>(request: Request) => (await caller(request)).data as T
  const api = { call, session }

  return {
    login: (wanted = {}) => session.login(wanted),
    logout: ({ all = false } = {}) =>
      session.logout(async (token) => {
        const logout = { method: 'POST', path: '/api/v1/user/logout', body: { all }, token } as const
        await repeatedly(async () => {
          const { error } = await exchange.send(logout)
          if (error) throw error
        })
      }),
    isSignedOut: () => session.isSignedOut(),
    async request(method, path, wanted) {
      return call({ ...wanted, method, ...target(path) })
    },
    user: userApi(api),
    phone: phoneApi(api),
    avatar: avatarApi(api, { exchange, storage, storageKey: `${storageKey}.avatar`, inspect }),
    ...weChatDataApi(api),
    sessions: sessionsApi(api),
    consents: consentsApi(api),
    subscriptions: subscriptionsApi(api, runtime),
    account: accountApi(api),
    activity: activityApi(api),
    config: configApi(caller, runtime),
    codes: codesApi(api),
  }

  function repeatedly(work: () => Promise<void>): Promise<void> {
    return repeating(runtime, policy, true, undefined, work)
  }
}

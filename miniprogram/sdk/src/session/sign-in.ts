import { within } from '../deadline'
import { errorName, isWeappError, WeappError } from '../errors'
import type { Exchange } from '../http/exchange'
import { delayBefore, type RetryPolicy, repeating, sleep } from '../http/repeat'
import type { Runtime } from '../runtime'
import { isTransportError } from '../transport/transport'
import { errMsgOf, failureOf } from '../transport/wx-like'
import type { LoginResult, Tokens } from '../types'

export interface LoginOptions {
  /** A code of the phone number button: the number is bound with the login. */
  phoneCode?: string
  /** Calls an account back that is being deleted. */
  cancelDeletion?: boolean
}

export interface SignIn {
  login(options: LoginOptions): Promise<LoginResult & Tokens>
  refresh(refreshToken: string): Promise<Tokens>
}

export interface SignInOptions {
  exchange: Exchange
  runtime: Runtime
  policy: RetryPolicy
  timeout: number
  appId?: string | undefined
  getCode: (() => Promise<string>) | undefined
}

/** Failures of a login that another code of `wx.login` mends. */
const ANOTHER_CODE = ['code_invalid', 'code_used', 'conflict', 'upstream_error', 'upstream_timeout', 'unavailable']

export function createSignIn(options: SignInOptions): SignIn {
  const { exchange, runtime, policy, timeout, appId, getCode } = options

  const post = async <T>(path: string, body: object): Promise<T> => {
    const { data, error } = await exchange.send({ method: 'POST', path, body })
    if (error) throw error
    return data as T
  }

  const newCode = async () => {
    if (!getCode) {
      const detail = 'no wx.login here: pass getCode to createClient'
      const userMessage = '此环境没有 wx.login，请在 createClient 中传入 getCode'
      throw new WeappError({ kind: 'client', reason: 'unsupported', detail, userMessage })
    }
    try {
      return await within(runtime, timeout, getCode)
    } catch (error) {
      if (isWeappError(error)) throw error
      throw codeFailure(error)
    }
  }

  return {
    async login(wanted) {
      let code = await newCode()
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await post<LoginResult & Tokens>('/api/v1/user/login', { code, ...(appId && { appId }), ...wanted })
        } catch (error) {
          if (!isWeappError(error)) throw error
          const wait = delayBeforeLogin(error, attempt, policy, runtime.random)
          if (wait === undefined) throw error
          await sleep(runtime, wait)
          // A lost answer may have been a login: the same code then gives the same session. Any refusal wants a new one.
          if (error.kind === 'api') code = await newCode()
        }
      }
    },
    // A repeated refresh with the same token gets the same successor, so a lost answer costs nothing.
    refresh: (refreshToken) =>
      repeating(runtime, policy, true, undefined, () => post<Tokens>('/api/v1/user/refresh', { refreshToken })),
  }
}

/** Codes of failed connections in node, alone or behind a space in `errorName`. */
const CONNECTION_CODES = /(^| )(E(CONN|HOST|NET|PIPE|AI_|NOTFOUND|TIMEDOUT)|UND_ERR_)/

/** What a `getCode` of the page failed with: it may ask a server, which may not be reached. */
function codeFailure(error: unknown): WeappError {
  const detail = errorName(error)
  const errMsg = errMsgOf(error)
  if (isTransportError(error)) return new WeappError({ kind: 'network', reason: error.failure, detail })
  if (/^request:fail/.test(errMsg)) return new WeappError({ kind: 'network', reason: failureOf(errMsg), detail })
  if (CONNECTION_CODES.test(detail)) return new WeappError({ kind: 'network', reason: 'network', detail })
  return new WeappError({ kind: 'client', reason: 'login_failed', detail })
}

function delayBeforeLogin(
  error: WeappError,
  attempt: number,
  policy: RetryPolicy,
  random: () => number,
): number | undefined {
  const wait = delayBefore(error, true, attempt, policy, random)
  if (wait !== undefined || attempt >= policy.retries) return wait
  // Refused codes have no `Retry-After`, and a new one has better luck at once.
  return ANOTHER_CODE.indexOf(error.reason) >= 0 && error.retryAfter === undefined ? 0 : undefined
}

import { type CancelSignal, unlessCancelled } from '../cancel'
import { hasReason, isWeappError, WeappError } from '../errors'
import { sharing } from '../sharing'
import type { LoginResult, Reason, Tokens } from '../types'
import { createExclusive } from './exclusive'
import type { StorageLock } from './lock'
import type { SignedIn } from './record'
import type { LoginOptions, SignIn } from './sign-in'
import type { Vault } from './vault'

/** What may be done when there is no living session. */
export type Renewal = 'login' | 'refresh'

export interface Session {
  /** An access token; logs in, or refreshes ahead, where that is needed. */
  token(signal?: CancelSignal): Promise<string>
  /** Another token than `used`, which the backend refused for `reason`. */
  renew(used: string, reason: string, renewal: Renewal, signal?: CancelSignal): Promise<string>
  /** As the user wants it, also after a logout. */
  login(options: LoginOptions): Promise<LoginResult>
  /** A silent login in place of a session that does not do; not after a logout. */
  relogin(): Promise<void>
  /** Takes over the tokens of another session, that of the account that is left of a merge; not after a logout. */
  adopt(tokens: Tokens): Promise<void>
  /** Forgets the session; `end` is given its token, to end it at the backend. */
  logout(end: (token: string) => Promise<void>): Promise<void>
  forget(): Promise<void>
  isSignedOut(): Promise<boolean>
}

export interface SessionOptions {
  vault: Vault
  lock: StorageLock
  signIn: SignIn
  onLogin?: ((result: LoginResult) => void) | undefined
}

export function createSession({ vault, lock, signIn, onLogin }: SessionOptions): Session {
  const exclusive = createExclusive(lock, vault)
  const [sharedRenewal, sharedLogin] = [sharing<string>(), sharing<LoginResult>()]
  let isStarted = false
  /** Logouts that have begun: nothing may log in silently behind their back. */
  let leaving = 0
  /** How many have begun so far: a login after one is another than a login before it. */
  let departures = 0

  const logIn = async (options: LoginOptions): Promise<LoginResult> => {
    const answer = await signIn.login(options)
    await vault.keep(answer)
    const result = withoutTokens(answer)
    // Not awaited, and its failures are its own: the login has succeeded.
    if (onLogin) Promise.resolve(result).then(onLogin)
    return result
  }

  const renewNow = async (used: string, reason: string, renewal: Renewal): Promise<string> => {
    const record = vault.current()
    if (record?.state === 'out') throw signedOut()
    // Another call, or another context, has renewed it meanwhile. That may be long ago, too.
    const isNews = record && record.token !== used
    if (isNews && !vault.isExpiring()) return record.token
    // `reason` is that of the token that was used.
    if (record && (isNews || reason !== 'session_revoked')) {
      try {
        return await vault.keep(await signIn.refresh(record.refreshToken))
      } catch (error) {
        if (!isUseless(error)) throw error
      }
    }
    if (renewal === 'refresh') throw ended(reason)
    if (leaving > 0) throw signedOut()
    await logIn({})
    return (vault.current() as SignedIn).token
  }

  const renew = (used: string, reason: string, renewal: Renewal) =>
    sharedRenewal(`${renewal} ${used}`, () => exclusive(() => renewNow(used, reason, renewal)))

  /** The record at first use, and again while it says that the user is logged out: another context may have logged in. */
  const known = async () => {
    const record = vault.current()
    if (isStarted && record?.state === 'in') return record
    isStarted = true
    return vault.sync()
  }

  const token = async () => {
    const record = leaving > 0 ? undefined : await known()
    if (leaving > 0 || record?.state === 'out') throw signedOut()
    if (!record) return renew('', '', 'login')
    if (!vault.isExpiring()) return record.token
    return renew(record.token, '', 'login').catch((error) => {
      // Only ahead of time: the old token may still be accepted. If it isn't, the answer to the call says so.
      if (isWeappError(error) && isUnknown(error)) return record.token
      throw error
    })
  }

  const unlessSignedOut = async <T>(work: () => Promise<T>): Promise<T> => {
    if (leaving > 0 || vault.current()?.state === 'out') throw signedOut()
    return work()
  }

  const leave = async (work: (record: SignedIn) => Promise<void>) => {
    leaving += 1
    departures += 1
    try {
      await exclusive(async () => {
        const record = vault.current()
        await vault.signOut()
        if (record?.state === 'in') await work(record)
      })
    } finally {
      leaving -= 1
    }
  }

  return {
    token: (signal) => unlessCancelled(token(), signal),
    renew: (used, reason, renewal, signal) => unlessCancelled(renew(used, reason, renewal), signal),
    login: (options) => sharedLogin(`${departures} ${JSON.stringify(options)}`, () => exclusive(() => logIn(options))),
    relogin: async () =>
      void (await sharedLogin(`${departures}`, () => exclusive(() => unlessSignedOut(() => logIn({}))))),
    adopt: async (tokens) => void (await exclusive(() => unlessSignedOut(() => vault.keep(tokens)))),
    logout: (end) => leave((record) => endAtBackend(record, end, signIn)),
    forget: () => leave(() => Promise.resolve()),
    isSignedOut: async () => leaving > 0 || (await known())?.state === 'out',
  }
}

/** What pages are told of a login. */
function withoutTokens({ user, isNewUser, consentsMissing, phone }: LoginResult): LoginResult {
  return { user, isNewUser, ...(consentsMissing && { consentsMissing }), ...(phone && { phone }) }
}

/** Ends the session with its token, refreshed if it has expired. A session that has ended already is what was wanted. */
async function endAtBackend(record: SignedIn, end: (token: string) => Promise<void>, signIn: SignIn): Promise<void> {
  try {
    await end(record.token).catch(async (error) => {
      if (!hasEnded(error) || error.reason === 'session_revoked') throw error
      const { token } = await signIn.refresh(record.refreshToken)
      await end(token)
    })
  } catch (error) {
    if (!hasEnded(error)) throw error
  }
}

/** 401 of the backend, not of something on the way: this token, or the session, is no longer accepted. */
function hasEnded(error: unknown): error is WeappError {
  return isWeappError(error) && error.kind === 'api' && error.status === 401
}

/** Whether the refresh token leads nowhere: its session has ended, or what the storage gave is no refresh token. */
function isUseless(error: unknown): boolean {
  return hasEnded(error) || hasReason(error, 'invalid_request')
}

/** Whether the backend was not reached, or is busy: nothing is known of the session. */
function isUnknown({ kind, reason }: WeappError): boolean {
  return kind === 'network' || ['rate_limited', 'unavailable', 'upstream_timeout'].indexOf(reason) >= 0
}

function signedOut(): WeappError {
  return new WeappError({ kind: 'client', reason: 'signed_out' })
}

function ended(reason: string): WeappError {
  return new WeappError({ kind: 'api', reason: (reason || 'token_missing') as Reason, status: 401 })
}

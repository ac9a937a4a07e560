import { hasReason } from '../errors'
import type { CallOptions } from '../http/caller'
import type { LoginResult, Merging, PhoneOffer, Tokens, User } from '../types'
import type { Api } from './api'

export interface PhoneApi {
  /**
   * Binds the number whose code the button gave. If another account has it and something can be done about that, `ask`
   * is called with the offer; `true` carries it out. `null`: the user refused, there or at the button (no code).
   */
  bind(
    code: string | undefined,
    ask?: (offer: PhoneOffer) => boolean | PromiseLike<boolean>,
    options?: CallOptions,
  ): Promise<User | null>
  /** Carries out an offer: moves the number here, or merges the accounts, which can't be undone. Ask the user before. */
  resolve(offer: Pick<PhoneOffer, 'ticket' | 'choice'>, options?: CallOptions): Promise<User>
}

type Resolved = User | (Tokens & LoginResult) | Merging

export function phoneApi({ call, session }: Api): PhoneApi {
  const resolve: PhoneApi['resolve'] = async ({ ticket, choice }, options) => {
    const path = '/api/v1/user/phone/resolve'
    const resolved = await call<Resolved>({ method: 'POST', path, body: { ticket, choice }, ...options })
    if ('token' in resolved) {
      await session.adopt(resolved)
      return resolved.user
    }
    if (resolved.status === 'merging') {
      // The merge goes on; the next login completes it, and is one to the account that is left.
      await session.relogin()
      return call({ method: 'GET', path: '/api/v1/user/info', ...options })
    }
    return resolved
  }

  return {
    async bind(code, ask, options) {
      if (!code) return null
      try {
        // The backend asks WeChat about a code only once, so the request can be repeated.
        return await call({ method: 'POST', path: '/api/v1/user/phone', body: { code }, repeatable: true, ...options })
      } catch (error) {
        if (!ask || !hasReason(error, 'phone_taken') || !error.data) throw error
        return (await ask(error.data)) ? resolve(error.data, options) : null
      }
    },
    resolve,
  }
}

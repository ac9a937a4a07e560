import type { CallOptions } from '../http/caller'
import type { Runtime } from '../runtime'
import type { Subscription } from '../types'
import type { Api } from './api'

/** What `wx.requestSubscribeMessage` gives its `success`: what the user chose, by template, and `errMsg`. */
export interface SubscribeMessageResult {
  [template: string]: unknown
}

export interface SubscriptionsApi {
  /** How many messages of each template the user agreed to and has not received. A template without any is not listed. */
  list(options?: CallOptions): Promise<Subscription[]>
  /**
   * Tells the backend what the user chose in `wx.requestSubscribeMessage`: pass on what `success` got. Each template that
   * was accepted is one message more. Once for each call of `wx.requestSubscribeMessage`.
   */
  record(result: SubscribeMessageResult, options?: CallOptions): Promise<Subscription[]>
}

interface Answer {
  subscriptions: Subscription[]
}

const PATH = '/api/v1/user/subscriptions'

export function subscriptionsApi({ call }: Api, runtime: Runtime): SubscriptionsApi {
  const list = async (options?: CallOptions) =>
    (await call<Answer>({ method: 'GET', path: PATH, ...options })).subscriptions
  return {
    list,
    async record(result, options) {
      const results = choices(result)
      if (Object.keys(results).length === 0) return list(options)
      // The same one in every repetition of the request, so that an answer that was lost counts nothing twice.
      const body = { requestId: requestId(runtime), results }
      return (await call<Answer>({ method: 'PUT', path: PATH, body, ...options })).subscriptions
    },
  }
}

/** The texts of the result that are about templates. */
function choices(result: SubscribeMessageResult): Record<string, string> {
  const chosen: Record<string, string> = {}
  for (const [template, choice] of Object.entries(result)) {
    if (template !== 'errMsg' && typeof choice === 'string') chosen[template] = choice
  }
  return chosen
}

/** Has to be new for one user only. */
function requestId(runtime: Runtime): string {
  const random = () => runtime.random().toString(36).slice(2, 12).padEnd(10, '0')
  return `${runtime.now().toString(36)}-${random()}${random()}`
}

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
   * was accepted is one message more. The same object again is the same answer, and adds nothing: so what failed can be
   * tried again with it. A copy of it is another answer.
   */
  record(result: SubscribeMessageResult, options?: CallOptions): Promise<Subscription[]>
}

interface Answer {
  subscriptions: Subscription[]
}

const PATH = '/api/v1/user/subscriptions'

export function subscriptionsApi({ call }: Api, runtime: Runtime): SubscriptionsApi {
  // By the objects themselves, which go when the page lets go of them.
  const requestIds = new WeakMap<SubscribeMessageResult, string>()
  const idOf = (result: SubscribeMessageResult) => {
    const id = requestIds.get(result) || requestId(runtime)
    requestIds.set(result, id)
    return id
  }
  const list = async (options?: CallOptions) =>
    (await call<Answer>({ method: 'GET', path: PATH, ...options })).subscriptions
  return {
    list,
    async record(result, options) {
      const results = choices(result)
      if (Object.keys(results).length === 0) return list(options)
      // The same one in every repetition, by the SDK or its caller, so that an answer that was lost counts nothing twice.
      const body = { requestId: idOf(result), results }
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

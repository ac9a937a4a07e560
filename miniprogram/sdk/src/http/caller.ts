import type { CancelSignal } from '../cancel'
import type { Runtime } from '../runtime'
import type { Renewal, Session } from '../session/session'
import type { Answer } from './answer'
import type { Call, Exchange } from './exchange'
import { type RetryPolicy, repeating } from './repeat'

export interface CallOptions {
  /** Cancels the waiting; a refresh that other calls share goes on. */
  signal?: CancelSignal | undefined
}

export interface Request extends CallOptions {
  method: Call['method']
  path: string
  /** In place of an address of the backend: that of a function of one's own. */
  url?: string | undefined
  body?: unknown
  /** Whether doing it twice is the same as doing it once; by default all but POST. Only such calls are repeated. */
  repeatable?: boolean
  /** Without an access token. */
  isPublic?: boolean
  sealed?: boolean | undefined
  /** What may be done about a token that is refused; by default everything. */
  renewal?: Renewal
}

/** Sends a request until it has an answer that counts. */
export type Caller = (request: Request) => Promise<Answer>

/** A failure of a login or a refresh, which repeat themselves: the call that waited for it is not repeated as well. */
class SignInFailure {
  readonly error: unknown
  constructor(error: unknown) {
    this.error = error
  }
}

const unrepeated = <T>(signIn: Promise<T>): Promise<T> =>
  signIn.catch((error) => {
    throw new SignInFailure(error)
  })

export function createCaller(exchange: Exchange, session: Session, runtime: Runtime, policy: RetryPolicy): Caller {
  /** With a token, and once more with another one after a 401. */
  const authorized = async (call: Call, { renewal = 'login', signal }: Request): Promise<Answer> => {
    const token = await unrepeated(session.token(signal))
    const answer = await exchange.send({ ...call, token })
    const { error } = answer
    // A 401 of something on the way says nothing of the token.
    if (!error || answer.status !== 401 || error.kind !== 'api') return answer
    const renewed = await unrepeated(session.renew(token, error.reason, renewal, signal))
    return exchange.send({ ...call, token: renewed })
  }

  return (request) => {
    const { method, path, url, body, sealed, signal, isPublic, repeatable = method !== 'POST' } = request
    const call: Call = { method, path, url, body, sealed, signal }
    return repeating(runtime, policy, repeatable, signal, async () => {
      const answer = await (isPublic ? exchange.send(call) : authorized(call, request))
      if (answer.error) throw answer.error
      return answer
    }).catch((error) => {
      throw error instanceof SignInFailure ? error.error : error
    })
  }
}

import type { Request } from '../http/caller'
import type { Session } from '../session/session'

/** What the groups of methods are made of. */
export interface Api {
  /** The `data` of the answer. */
  call<T>(request: Request): Promise<T>
  session: Session
}

import { isWeappError } from '../errors'
import type { CallOptions } from '../http/caller'
import { segment } from '../http/segment'
import type { ConsentChange, Consents, Deletion, ExportPage, Session } from '../types'
import type { Api } from './api'

export interface SessionsApi {
  /** The user's sessions, newest first. */
  list(options?: CallOptions): Promise<Session[]>
  /** Ends one of them. */
  end(id: string, options?: CallOptions): Promise<void>
}

export interface ConsentsApi {
  /** What the user agreed to, and what is missing. */
  list(options?: CallOptions): Promise<Consents>
  /** The user agrees to this version of a document: the one whose text was shown. */
  agree(document: string, version: number, options?: CallOptions): Promise<ConsentChange>
  withdraw(document: string, options?: CallOptions): Promise<ConsentChange>
}

export interface AccountApi {
  /** Everything that is stored about the user, mostly on one page. */
  export(options?: CallOptions): Promise<ExportPage[]>
  /** Deletes the account. Ask the user a second time before. Afterwards the user is logged out. */
  delete(options?: CallOptions): Promise<Deletion>
}

export function sessionsApi({ call }: Api): SessionsApi {
  const path = '/api/v1/user/sessions'
  return {
    list: async (options) => (await call<{ sessions: Session[] }>({ method: 'GET', path, ...options })).sessions,
    async end(id, options) {
      await call({ method: 'DELETE', path: `${path}/${segment(id)}`, ...options })
    },
  }
}

export function consentsApi({ call }: Api): ConsentsApi {
  const path = '/api/v1/user/consents'
  const one = (document: string) => `${path}/${segment(document)}`
  return {
    list: (options) => call({ method: 'GET', path, ...options }),
    agree: async (document, version, options) =>
      call({ method: 'PUT', path: one(document), body: { version }, ...options }),
    withdraw: async (document, options) => call({ method: 'DELETE', path: one(document), ...options }),
  }
}

export function accountApi({ call, session }: Api): AccountApi {
  /** Whether a deletion was asked for, and it is unknown what became of it. */
  let mayHaveBegun = false
  return {
    async export(options) {
      const pages: ExportPage[] = []
      let cursor: string | undefined
      do {
        const path = `/api/v1/user/export${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ''}`
        const page: ExportPage = await call({ method: 'GET', path, ...options })
        pages.push(page)
        cursor = page.nextCursor
      } while (cursor)
      return pages
    },
    async delete(options) {
      // The token that began a deletion is accepted for going on with it. A login would make a new account instead.
      const remove = () => call<Deletion>({ method: 'DELETE', path: '/api/v1/user', renewal: 'refresh', ...options })
      const deletion = await remove().catch(async (error) => {
        if (!isWeappError(error) || error.kind !== 'api' || error.status !== 401 || mayHaveBegun) {
          mayHaveBegun = mayHaveBegun || isUncertain(error)
          throw error
        }
        // The session had ended before.
        await session.relogin()
        return remove()
      })
      mayHaveBegun = false
      await session.forget()
      return deletion
    },
  }
}

/** Whether the request may have been carried out all the same. */
function isUncertain(error: unknown): boolean {
  return isWeappError(error) && (error.kind !== 'api' || (error.status || 0) >= 500)
}

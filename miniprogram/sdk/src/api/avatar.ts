import { hasReason, WeappError } from '../errors'
import type { CallOptions } from '../http/caller'
import type { Exchange } from '../http/exchange'
import type { Picture } from '../platform'
import type { Storage } from '../storage'
import type { AvatarResult, UploadForm } from '../types'
import type { Api } from './api'

export interface AvatarApi {
  /** Type and size of the file that `<button open-type="chooseAvatar">` gave: `event.detail.avatarUrl`. */
  choose(filePath: string): Promise<Picture>
  /** Uploads a picture and makes it the user's avatar. */
  upload(picture: Picture | string, options?: CallOptions): Promise<AvatarResult>
  /**
   * What became of the picture that WeChat was checking (`checking`): call it on the page's next visit. `null` if there
   * is none. Rejects with `content_risky` or `upload_invalid` if it was refused.
   */
  pending(options?: CallOptions): Promise<AvatarResult | null>
}

const PATH = '/api/v1/user/avatar'
/** The refusals that say what became of a picture; others leave it open. */
const DECIDED = ['content_risky', 'upload_invalid', 'not_found'] as const

export interface AvatarParts {
  exchange: Exchange
  storage: Storage
  /** Where the key of the picture that is checked is kept. */
  storageKey: string
  inspect: ((filePath: string) => Promise<Picture>) | undefined
}

export function avatarApi({ call }: Api, parts: AvatarParts): AvatarApi {
  const { exchange, storage, storageKey, inspect } = parts

  const choose = async (filePath: string) => {
    if (inspect) return inspect(filePath)
    throw new WeappError({ kind: 'client', reason: 'unsupported', detail: 'no getImageInfo: pass type and size' })
  }

  /** Posts the file with a form. A form that the store refuses is outdated: once more with a new one. */
  const store = async ({ filePath, contentType, size }: Picture, options?: CallOptions): Promise<string> => {
    let form: UploadForm
    for (let isFirst = true; ; isFirst = false) {
      // A form is only a permission: one that got lost is of no use to anybody.
      form = await call({ method: 'POST', path: PATH, body: { contentType, size }, repeatable: true, ...options })
      const upload = { url: form.url, fields: form.fields, filePath, name: 'file', contentType }
      const status = await exchange.upload(upload, options?.signal).catch((error) => {
        if (!isFirst || !hasReason(error, 'network')) throw error
        return 0
      })
      if (status >= 200 && status < 300) return form.key
      if (!isFirst) throw new WeappError({ kind: 'api', reason: 'upload_failed', status })
    }
  }

  const confirm = (key: string, options?: CallOptions) =>
    call<AvatarResult>({ method: 'PUT', path: PATH, body: { key }, ...options })

  const remember = async (key: string | undefined) => {
    try {
      await (key ? storage.set(storageKey, key) : storage.remove(storageKey))
    } catch {
      // Without it the page is not told of a refused picture; one that passes appears all the same.
    }
  }

  const remembered = async (): Promise<string | undefined> => {
    try {
      const key = await storage.get(storageKey)
      return typeof key === 'string' && key ? key : undefined
    } catch {
      return undefined
    }
  }

  /** What became of it was told. The user may have chosen another picture meanwhile: that one stays. */
  const forget = async (key: string) => {
    if ((await remembered()) === key) await remember(undefined)
  }

  return {
    choose,
    async upload(picture, options) {
      const chosen = typeof picture === 'string' ? await choose(picture) : picture
      const key = await store(chosen, options)
      const result = await confirm(key, options)
      await remember(result.status === 'checking' ? key : undefined)
      return result
    },
    async pending(options) {
      const key = await remembered()
      if (!key) return null
      try {
        const result = await confirm(key, options)
        if (result.status === 'published') await forget(key)
        return result
      } catch (error) {
        if (DECIDED.some((reason) => hasReason(error, reason))) await forget(key)
        if (hasReason(error, 'not_found')) return null
        throw error
      }
    },
  }
}

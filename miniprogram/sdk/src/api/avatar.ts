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

  const confirm = async (key: string, options?: CallOptions): Promise<AvatarResult> => {
    const result = await call<AvatarResult>({ method: 'PUT', path: PATH, body: { key }, ...options })
    const isChecking = result.status === 'checking'
    await remember(isChecking ? key : undefined)
    return result
  }

  const remember = async (key: string | undefined) => {
    try {
      await (key ? storage.set(storageKey, key) : storage.remove(storageKey))
    } catch {
      // Without it the page is not told of a refused picture; one that passes appears all the same.
    }
  }

  return {
    choose,
    async upload(picture, options) {
      const chosen = typeof picture === 'string' ? await choose(picture) : picture
      return confirm(await store(chosen, options), options)
    },
    async pending(options) {
      const key = await Promise.resolve()
        .then(() => storage.get(storageKey))
        .catch(() => undefined)
      if (typeof key !== 'string' || !key) return null
      try {
        return await confirm(key, options)
      } catch (error) {
        // The backend has decided, and says so once.
        if (
          ['content_risky', 'upload_invalid', 'not_found'].some((reason) => hasReason(error, reason as 'not_found'))
        ) {
          await remember(undefined)
        }
        if (hasReason(error, 'not_found')) return null
        throw error
      }
    },
  }
}

import { WeappError } from './errors'
import { memoryStorage, type Storage } from './storage'
import { type Fetch, fetchTransport } from './transport/fetch'
import type { Transport } from './transport/transport'
import { promised, scrubbed, type WxLike, wxTransport } from './transport/wx-like'
import type { PictureType } from './types'

/** A picture on the phone. */
export interface Picture {
  filePath: string
  contentType: PictureType
  /** Bytes. */
  size: number
}

/** What the SDK needs of where it runs. Each part can be replaced in `createClient`. */
export interface Platform {
  transport: Transport
  storage: Storage
  /** A new code of `wx.login`. */
  getCode?(): Promise<string>
  /** Cryptographically secure; sealed bodies only. */
  randomBytes?(length: number): Promise<Uint8Array>
  /** Type and size of a picture; avatars only. */
  inspectPicture?(filePath: string): Promise<Picture>
}

const TYPES: { [type: string]: PictureType } = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
}

function wxStorage(api: WxLike): Storage {
  return {
    get: (key) => api.getStorageSync(key),
    set: (key, value) => api.setStorageSync(key, value),
    remove: (key) => api.removeStorageSync(key),
  }
}

async function inspect(api: WxLike, filePath: string): Promise<Picture> {
  const files = api.getFileSystemManager?.()
  const [info, { size }] = await Promise.all([
    promised<{ type?: string }>((callbacks) => api.getImageInfo?.({ src: filePath, ...callbacks })),
    promised<{ size: number }>((callbacks) =>
      files ? files.getFileInfo({ filePath, ...callbacks }) : api.getFileInfo?.({ filePath, ...callbacks }),
    ),
  ])
  // What WeChat can't tell is sent as JPEG, which most pictures are; the backend looks at the bytes.
  return { filePath, size, contentType: TYPES[info.type || ''] || 'image/jpeg' }
}

/** `provider` is `uni`'s way to name WeChat; `wx` and `Taro` ignore it. */
async function codeOf(api: WxLike): Promise<string> {
  const { code, errMsg } = await promised<{ code?: string; errMsg?: string }>((callbacks) =>
    api.login?.({ provider: 'weixin', ...callbacks }),
  )
  if (!code) throw new WeappError({ kind: 'client', reason: 'login_failed', detail: scrubbed(errMsg) })
  return code
}

/** Everything by `wx`, or by `uni` or `Taro`, which have the same functions. */
export function wxPlatform(api: WxLike): Platform {
  const platform: Platform = { transport: wxTransport(api), storage: wxStorage(api) }
  const random = api.getRandomValues
  if (api.login) platform.getCode = () => codeOf(api)
  if (api.getImageInfo) platform.inspectPicture = (filePath) => inspect(api, filePath)
  if (random) {
    platform.randomBytes = async (length) => {
      const { randomValues } = await promised<{ randomValues: ArrayBuffer }>((callbacks) =>
        random.call(api, { length, ...callbacks }),
      )
      return new Uint8Array(randomValues)
    }
  }
  return platform
}

declare const crypto: { getRandomValues?(bytes: Uint8Array): Uint8Array } | undefined

/** `fetch` and a storage in memory: node, browsers, tests. Bring `getCode` for logins. */
export function fetchPlatform(fetch: Fetch): Platform {
  return {
    transport: fetchTransport(fetch),
    storage: memoryStorage(),
    async randomBytes(length) {
      const bytes = new Uint8Array(length)
      if (typeof crypto !== 'object' || !crypto.getRandomValues) {
        throw new WeappError({ kind: 'client', reason: 'unsupported', detail: 'no crypto.getRandomValues' })
      }
      return crypto.getRandomValues(bytes)
    },
  }
}

declare const wx: WxLike | undefined
declare const uni: WxLike | undefined
declare const fetch: Fetch | undefined

/** The platform that the code runs on. `wx` first: in WeChat's mini-programs `uni` is a layer above it. */
export function detectPlatform(): Platform {
  if (typeof wx === 'object' && typeof wx.request === 'function') return wxPlatform(wx)
  if (typeof uni === 'object' && typeof uni.request === 'function') return wxPlatform(uni)
  if (typeof fetch === 'function') return fetchPlatform(fetch)
  throw new WeappError({ kind: 'client', reason: 'unsupported', detail: 'no wx, uni or fetch: pass a platform' })
}

import { type ClientReason, WeappError } from './errors'
import { memoryStorage, type Storage } from './storage'
import { type Fetch, fetchTransport } from './transport/fetch'
import type { Transport } from './transport/transport'
import { errMsgOf, failed, promised, scrubbed, type WxLike, wxTransport } from './transport/wx-like'
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

/** One of the platform's functions, whose failures become those of the SDK. */
async function asked<T>(name: keyof WxLike, api: Partial<WxLike>, options: object, reason: ClientReason): Promise<T> {
  const ask = api[name] as ((options: unknown) => unknown) | undefined
  if (!ask) throw new WeappError({ kind: 'client', reason: 'unsupported', detail: `no ${name}` })
  try {
    return await promised<T>((callbacks) => ask.call(api, { ...options, ...callbacks }))
  } catch (error) {
    throw new WeappError({ kind: 'client', reason, detail: scrubbed(errMsgOf(error)) })
  }
}

async function inspect(api: WxLike, filePath: string): Promise<Picture> {
  const files = api.getFileSystemManager?.() || api
  const [info, { size }] = await Promise.all([
    asked<{ type?: string }>('getImageInfo', api, { src: filePath }, 'upload_failed'),
    asked<{ size: number }>('getFileInfo', files, { filePath }, 'upload_failed'),
  ])
  // What WeChat can't tell is sent as JPEG, which most pictures are; the backend looks at the bytes.
  return { filePath, size, contentType: TYPES[info.type || ''] || 'image/jpeg' }
}

/** `provider` is `uni`'s way to name WeChat; `wx` and `Taro` ignore it. */
async function codeOf(api: WxLike): Promise<string> {
  try {
    const answer = await promised<{ code?: string }>((callbacks) => api.login?.({ provider: 'weixin', ...callbacks }))
    if (answer.code) return answer.code
    throw answer
  } catch (error) {
    const { failure, message } = await failed(api, error)
    // Without a network WeChat has no code to give, and says so in many ways.
    if (failure === 'offline' || failure === 'timeout') {
      throw new WeappError({ kind: 'network', reason: failure, detail: message })
    }
    throw new WeappError({ kind: 'client', reason: 'login_failed', detail: message })
  }
}

/** Everything by `wx`, or by `uni` or `Taro`, which have the same functions. */
export function wxPlatform(api: WxLike): Platform {
  const platform: Platform = { transport: wxTransport(api), storage: wxStorage(api) }
  if (api.login) platform.getCode = () => codeOf(api)
  if (api.getImageInfo) platform.inspectPicture = (filePath) => inspect(api, filePath)
  if (api.getRandomValues) {
    platform.randomBytes = async (length) => {
      const options = { length }
      const { randomValues } = await asked<{ randomValues: ArrayBuffer }>(
        'getRandomValues',
        api,
        options,
        'unsupported',
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

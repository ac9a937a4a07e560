import { hasReason } from '../errors'
import type { CallOptions } from '../http/caller'
import type { EncryptedData, EncryptedMessage, Watermark } from '../types'
import type { Api } from './api'

type MaybePromise<T> = T | PromiseLike<T>

export interface DecryptOptions extends CallOptions {
  /** Has the backend ask WeChat whether its key is current; before something important. */
  checkSession?: boolean
}

export interface WeChatDataApi {
  /**
   * Opens data that WeChat encrypted for the backend. Give the function that gets it, such as `() => wx.getWeRunData()`:
   * if its key is no longer current, the SDK logs in and gets new data, once. The old data can't be opened any longer.
   */
  decrypt<T>(get: () => MaybePromise<EncryptedData>, options?: DecryptOptions): Promise<T & { watermark?: Watermark }>
  /** Opens what the page encrypted with a key of `wx.getUserCryptoManager()`. */
  openMessage<T>(message: EncryptedMessage, options?: CallOptions): Promise<T>
  /** Has WeChat replace the `session_key`. */
  resetSessionKey(options?: CallOptions): Promise<void>
}

export function weChatDataApi({ call, session }: Api): WeChatDataApi {
  return {
    async decrypt<T>(get: () => MaybePromise<EncryptedData>, options: DecryptOptions = {}) {
      const { checkSession, signal } = options
      const decrypted = async () => {
        // Only what the endpoint knows: `wx.*` answers more, and unknown fields are refused.
        const { encryptedData, iv, rawData, signature } = await get()
        const body = { encryptedData, iv, rawData, signature, checkSession }
        return call<T>({ method: 'POST', path: '/api/v1/user/decrypt', body, repeatable: true, signal })
      }
      try {
        return await decrypted()
      } catch (error) {
        if (!hasReason(error, 'session_key_stale')) throw error
        await session.relogin()
        return decrypted()
      }
    },
    openMessage: (message, options) =>
      call({ method: 'POST', path: '/api/v1/user/message', body: message, repeatable: true, ...options }),
    async resetSessionKey(options) {
      await call({ method: 'POST', path: '/api/v1/user/session-key/reset', ...options })
    },
  }
}

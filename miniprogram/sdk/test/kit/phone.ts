/**
 * A phone with WeChat: a `wx` whose network, storage and login can fail, in front of the real backend. Requests are
 * recorded as they were sent.
 */
import type { WxLike } from 'weapp-serverless-sdk'
import type { Backend } from './backend'

export interface Sent {
  method: string
  path: string
  headers: Record<string, string>
  body: string | undefined
}

export interface WxAnswer {
  statusCode: number
  data: unknown
  header: Record<string, string>
}

interface RequestOptions {
  url: string
  method?: string
  header?: Record<string, string>
  data?: string
  dataType?: string
  success?(answer: WxAnswer): void
  fail?(error: { errMsg: string }): void
  /** After either, with what it was given. */
  complete?(outcome: WxAnswer | { errMsg: string }): void
}

interface Callbacks<T> {
  success(result: T): void
  fail(error: { errMsg: string }): void
}

/** What may happen to a request: on its way, and to its answer. Return an answer to give it in place of the backend's. */
export interface Interference {
  before?(sent: Sent): WxAnswer | undefined | Promise<WxAnswer | undefined>
  after?(sent: Sent, answer: WxAnswer): void | Promise<void>
}

export class Fail extends Error {}

/** A file of one pixel. */
export const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACklEQVR4nGMAAQAABQABDQottAAAAABJRU5ErkJggg==',
  'base64',
)

export const titleCase = (name: string) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())

export class Phone {
  readonly stored = new Map<string, unknown>()
  readonly files = new Map<string, Buffer>([['http://tmp/picture.png', PICTURE]])
  readonly sent: Sent[] = []
  readonly codes: string[] = []
  /** How many requests the page aborted. */
  aborted = 0
  isOffline = false
  isStorageFull = false
  isStorageBroken = false
  loginFailure: string | undefined
  interference: Interference = {}

  constructor(
    readonly backend: Backend,
    readonly user: string,
  ) {}

  /** The requests to a path. */
  to(path: string): Sent[] {
    return this.sent.filter((sent) => sent.path.split('?')[0] === path)
  }

  count(path: string): number {
    return this.to(path).length
  }

  private async answer(sent: Sent, url: string, signal: AbortSignal): Promise<WxAnswer> {
    if (this.isOffline) throw new Fail('request:fail ')
    const invented = await this.interference.before?.(sent)
    if (invented) return invented
    const init = {
      method: sent.method,
      headers: sent.headers,
      signal,
      ...(sent.body !== undefined && { body: sent.body }),
    }
    const response = await fetch(url, init)
    const header: Record<string, string> = {}
    response.headers.forEach((value, name) => {
      header[titleCase(name)] = value
    })
    const answer = { statusCode: response.status, data: await response.text(), header }
    await this.interference.after?.(sent, answer)
    return answer
  }

  private request({ url, method = 'GET', header = {}, data, dataType, ...callbacks }: RequestOptions) {
    const aborting = new AbortController()
    const { pathname, search } = new URL(url)
    const sent = { method, path: pathname + search, headers: header, body: data }
    this.sent.push(sent)
    let isOver = false
    this.answer(sent, url, aborting.signal).then(
      (answer) => {
        isOver = true
        // What WeChat does unless it is told otherwise.
        const isJson = dataType === undefined || dataType === 'json'
        const given = isJson ? { ...answer, data: JSON.parse(String(answer.data)) } : answer
        callbacks.success?.(given)
        callbacks.complete?.(given)
      },
      (error) => {
        isOver = true
        if (!(error instanceof Fail) && !aborting.signal.aborted && error.cause === undefined) throw error
        const failure = {
          errMsg: error instanceof Fail ? error.message : 'request:fail errcode:-101 net::ERR_CONNECTION_REFUSED',
        }
        callbacks.fail?.(failure)
        callbacks.complete?.(failure)
      },
    )
    return {
      abort: () => {
        if (isOver) return
        this.aborted += 1
        aborting.abort()
      },
    }
  }

  private login({ success, fail }: Callbacks<{ code: string; errMsg: string }>) {
    if (this.loginFailure) return fail({ errMsg: this.loginFailure })
    this.backend.control('code', { user: this.user }).then(({ code = '' }) => {
      this.codes.push(code)
      success({ code, errMsg: 'login:ok' })
    })
  }

  private uploadFile(
    options: { url: string; filePath: string; name: string; formData: Record<string, string> } & Callbacks<WxAnswer>,
  ) {
    const { url, filePath, name, formData, success, fail } = options
    const sent = { method: 'POST', path: new URL(url).pathname, headers: {}, body: undefined }
    this.sent.push(sent)
    const send = async () => {
      const body = new FormData()
      for (const [field, value] of Object.entries(formData)) body.append(field, value)
      body.append(name, new Blob([new Uint8Array(this.files.get(filePath) || [])]), 'picture.png')
      const invented = await this.interference.before?.(sent)
      if (invented) return invented
      const response = await fetch(url, { method: 'POST', body })
      return { statusCode: response.status, data: await response.text(), header: {} }
    }
    send().then(success, () => fail({ errMsg: 'uploadFile:fail' }))
    return { abort: () => undefined }
  }

  /** The object itself. A second one is a second context of the same mini-program: it shares nothing but the storage. */
  get wx(): WxLike {
    const storage = <T>(work: () => T): T => {
      if (this.isStorageBroken) throw new Error('getStorageSync:fail')
      return work()
    }
    return {
      request: (options) => this.request(options as RequestOptions),
      uploadFile: (options) => this.uploadFile(options as Parameters<Phone['uploadFile']>[0]),
      login: (options) => this.login(options as Callbacks<{ code: string; errMsg: string }>),
      getStorageSync: (key) => storage(() => this.stored.get(key) ?? ''),
      setStorageSync: (key, value) =>
        storage(() => {
          if (this.isStorageFull) throw new Error('setStorageSync:fail exceed storage max size 10Mb')
          this.stored.set(key, value)
        }),
      removeStorageSync: (key) => storage(() => void this.stored.delete(key)),
      getNetworkType: (options) =>
        (options as Callbacks<{ networkType: string }>).success({ networkType: this.isOffline ? 'none' : 'wifi' }),
      getRandomValues: (options) => {
        const { length, success } = options as { length: number } & Callbacks<{ randomValues: ArrayBuffer }>
        success({ randomValues: crypto.getRandomValues(new Uint8Array(length)).buffer })
      },
      getImageInfo: (options) => (options as Callbacks<{ type: string }>).success({ type: 'png' }),
      getFileSystemManager: () => ({
        getFileInfo: (options) => {
          const { filePath, success } = options as { filePath: string } & Callbacks<{ size: number }>
          success({ size: this.files.get(filePath)?.length || 0 })
        },
      }),
    }
  }
}

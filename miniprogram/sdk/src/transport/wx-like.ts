import type { CancelSignal } from '../cancel'
import { type Transport, TransportError, type TransportFailure, type TransportResponse } from './transport'

interface Callbacks<T> {
  success?: (result: T) => void
  fail?: (error: unknown) => void
}

interface Answer {
  statusCode: number
  data: unknown
  header?: { [name: string]: string }
}

interface Task {
  abort?(): void
}

/**
 * The part of `wx` that the SDK calls; `uni` and `Taro` have the same functions. Declared as methods, so that the
 * platforms' own, more exact types fit.
 */
export interface WxLike {
  request(options: unknown): unknown
  uploadFile?(options: unknown): unknown
  login?(options: unknown): unknown
  getStorageSync(key: string): unknown
  setStorageSync(key: string, value: unknown): void
  removeStorageSync(key: string): void
  getNetworkType?(options: unknown): unknown
  getRandomValues?(options: unknown): unknown
  getImageInfo?(options: unknown): unknown
  getFileInfo?(options: unknown): unknown
  getFileSystemManager?(): { getFileInfo(options: unknown): unknown }
}

/** Calls one of the platform's functions and waits for its callback. */
export function promised<T>(call: (callbacks: Required<Callbacks<T>>) => unknown): Promise<T> {
  return new Promise<T>((success, fail) => {
    const returned = call({ success, fail })
    // Taro also returns a promise, which would otherwise be a rejection that nobody handles.
    if (returned instanceof Promise) returned.then(undefined, () => undefined)
  })
}

/** What `wx`, `uni` and `Taro` say about a failure; they may also throw. */
export function errMsgOf(error: unknown): string {
  const { errMsg }: { errMsg?: unknown } = Object(error)
  return String(errMsg || '')
}

/** The failure by the text, in the language of the phone: most of them have no documented code. */
export function failureOf(text: string): TransportFailure {
  if (/INTERNET_DISCONNECTED|NETWORK_UNREACHABLE|-1009\b|to be offline|断开与互联网/i.test(text)) return 'offline'
  if (/not in domain list|illegal url|域名/i.test(text)) return 'domain_blocked'
  if (/timed?[-_ ]?out|超时|-1001\b/i.test(text)) return 'timeout'
  return 'network'
}

/** WeChat's text without addresses, whose queries can hold what no log should. */
export function scrubbed(errMsg: string): string {
  return errMsg.replace(/\w+:\/\/\S+/g, '…').slice(0, 120)
}

/** Asks the platform whether there is a network at all: the text of a failure mostly does not say. */
function isOffline(api: WxLike): Promise<boolean> {
  const ask = api.getNetworkType
  if (!ask) return Promise.resolve(false)
  return promised<{ networkType?: string }>((callbacks) => ask.call(api, callbacks)).then(
    ({ networkType }) => networkType === 'none',
    () => false,
  )
}

export async function failed(api: WxLike, error: unknown): Promise<TransportError> {
  const errMsg = errMsgOf(error)
  const failure = failureOf(errMsg)
  const offline = failure === 'network' && (await isOffline(api))
  return new TransportError(offline ? 'offline' : failure, scrubbed(errMsg))
}

async function run(
  api: WxLike,
  start: (callbacks: Required<Callbacks<Answer>>) => unknown,
  signal: CancelSignal,
): Promise<TransportResponse> {
  let task: Task | undefined
  const abort = () => task?.abort?.()
  signal.addEventListener('abort', abort)
  try {
    const answer = await promised<Answer>((callbacks) => {
      const started = start(callbacks)
      task = started as Task | undefined
      return started
    })
    return { status: answer.statusCode, headers: answer.header || {}, body: answer.data }
  } catch (error) {
    throw await failed(api, error)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Requests by `wx.request` and `wx.uploadFile`, or what `uni` and `Taro` have in their place. */
export function wxTransport(api: WxLike): Transport {
  const upload = api.uploadFile
  const transport: Transport = {
    request: ({ url, method, headers, body, timeout }, signal) =>
      // Any other `dataType` than `json` leaves the body as it is: a sealed one is no JSON.
      run(
        api,
        (callbacks) =>
          api.request({
            url,
            method,
            header: headers,
            data: body,
            timeout,
            dataType: 'text',
            responseType: 'text',
            ...callbacks,
          }),
        signal,
      ),
  }
  if (upload) {
    transport.upload = ({ url, fields, filePath, name, timeout }, signal) =>
      run(
        api,
        (callbacks) => upload.call(api, { url, formData: fields, filePath, name, timeout, ...callbacks }),
        signal,
      )
  }
  return transport
}

import type { CancelSignal } from '../cancel'
import { WeappError } from '../errors'
import type { Runtime } from '../runtime'
import type { Transport, TransportRequest, TransportResponse, UploadRequest } from '../transport/transport'
import { type Answer, lowerCased, readAnswer, readOwnAnswer } from './answer'
import { carry } from './carry'
import type { Sealing } from './sealing'
import type { ServerClock } from './server-clock'

/** One request to the backend, with an access token or without. */
export interface Call {
  method: TransportRequest['method']
  /** With the query, from `/api/…` on. */
  path: string
  /** The whole address of a function of one's own; the backend is not asked then. */
  url?: string | undefined
  /** Sent as JSON. */
  body?: unknown
  token?: string
  signal?: CancelSignal | undefined
  /** Overrides the client's choice of what is sealed. */
  sealed?: boolean | undefined
}

export interface ExchangeOptions {
  baseURL: string
  transport: Transport
  runtime: Runtime
  clock: ServerClock
  timeout: number
  sealing?: Sealing | undefined
}

/** Sends single requests. An answer of any status is an answer; it rejects if there was none. */
export interface Exchange {
  send(call: Call): Promise<Answer>
  /** The status of the object store. */
  upload(request: Omit<UploadRequest, 'timeout'>, signal?: CancelSignal | undefined): Promise<number>
}

/** That of `userMessage`: what the backend says about fields is shown to users, too. */
const LANGUAGE = 'zh-CN'

export function createExchange(options: ExchangeOptions): Exchange {
  const { baseURL, transport, runtime, clock, timeout, sealing } = options

  const headersOf = (call: Call, contentType: string) => {
    const headers: { [name: string]: string } = { 'Accept-Language': LANGUAGE }
    if (call.token) headers.Authorization = `Bearer ${call.token}`
    if (call.body !== undefined) headers['Content-Type'] = contentType
    return headers
  }

  const carried = async (call: Call, contentType: string, body: string | undefined) => {
    const { method, path, url = baseURL + path, signal } = call
    const request: TransportRequest = { url, method, headers: headersOf(call, contentType), timeout }
    if (body !== undefined) request.body = body
    const response = await carry(runtime, timeout, signal, (aborted) => transport.request(request, aborted))
    const headers = lowerCased(response.headers)
    // A cache on the way keeps the date of the answer that it repeats.
    if (!headers.age && !call.url) clock.observe(headers.date)
    return { status: statusOf(response), headers, body: response.body }
  }

  const plain = async (call: Call) => {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body)
    const { status, headers, body: answered } = await carried(call, 'application/json', body)
    return (call.url ? readOwnAnswer : readAnswer)(status, headers, answered, clock.now())
  }

  return {
    // Only the backend has the key of sealed bodies.
    send: (call) => (!call.url && sealing?.applies(call) ? sealing.send(call, plain, carried) : plain(call)),
    async upload(request, signal) {
      const { upload } = transport
      if (!upload)
        throw new WeappError({ kind: 'client', reason: 'unsupported', detail: 'the transport has no upload' })
      const limit = timeout * UPLOAD_FACTOR
      const send = (aborted: CancelSignal) => upload.call(transport, { ...request, timeout: limit }, aborted)
      return statusOf(await carry(runtime, limit, signal, send))
    },
  }
}

/** Some platforms give it as text. */
function statusOf({ status }: TransportResponse): number {
  return Number(status)
}

/** A picture takes longer than a request. */
const UPLOAD_FACTOR = 3

import type { CancelSignal } from '../cancel'
import { errorName } from '../errors'
import { type Transport, TransportError, type TransportResponse } from './transport'

interface FetchInit {
  method: string
  headers: { [name: string]: string }
  body?: string
  signal?: unknown
}

interface FetchResponse {
  status: number
  headers: { forEach(visit: (value: string, name: string) => void): void }
  text(): Promise<string>
}

/** `fetch`, whatever the platform's types call its parameters. */
export type Fetch = (url: string, init: never) => Promise<FetchResponse>

declare const AbortController: (new () => { signal: unknown; abort(): void }) | undefined
declare const navigator: { onLine?: boolean } | undefined

/** A `Response` as the SDK wants it. */
export async function readResponse(response: FetchResponse): Promise<TransportResponse> {
  const headers: { [name: string]: string } = {}
  response.headers.forEach((value, name) => {
    headers[name] = value
  })
  return { status: response.status, headers, body: await response.text() }
}

function abortedWith(signal: CancelSignal): { signal?: unknown } {
  if (typeof AbortController === 'undefined') return {}
  const controller = new AbortController()
  signal.addEventListener('abort', () => controller.abort())
  return { signal: controller.signal }
}

/** Requests by `fetch`, for browsers, node and tests. It uploads no files: they have no paths there. */
export function fetchTransport(fetch: Fetch): Transport {
  return {
    async request({ url, method, headers, body }, signal) {
      const init: FetchInit = { method, headers, ...abortedWith(signal), ...(body !== undefined && { body }) }
      try {
        return await readResponse(await fetch(url, init as never))
      } catch (error) {
        const offline = typeof navigator === 'object' && navigator.onLine === false
        throw new TransportError(offline ? 'offline' : 'network', errorName(error))
      }
    },
  }
}

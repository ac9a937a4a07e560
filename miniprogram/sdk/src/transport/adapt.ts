import type { CancelSignal } from '../cancel'
import { errorName } from '../errors'
import { type Fetch, readResponse } from './fetch'
import {
  isTransportError,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from './transport'
import { errMsgOf, failureOf, scrubbed } from './wx-like'

/** What request libraries answer: as `wx.request` does, or as `fetch` does. */
export type LibraryResponse =
  | { statusCode: number; data: unknown; header?: unknown; headers?: unknown }
  | Awaited<ReturnType<Fetch>>

function isResponse(value: unknown): value is LibraryResponse {
  return (
    typeof value === 'object' && value !== null && ('statusCode' in value || ('status' in value && 'text' in value))
  )
}

function toTransportResponse(response: LibraryResponse): TransportResponse | Promise<TransportResponse> {
  if (!('statusCode' in response)) return readResponse(response)
  const headers = (response.header || response.headers || {}) as TransportResponse['headers']
  return { status: response.statusCode, headers, body: response.data }
}

/**
 * A transport out of a request library that a project already uses. `send` returns what the library returns. Libraries
 * that reject with the response for statuses from 400 are fine.
 */
export function adaptTransport(
  send: (request: TransportRequest, signal: CancelSignal) => PromiseLike<LibraryResponse>,
): Transport {
  return {
    async request(request, signal) {
      try {
        return await toTransportResponse(await send(request, signal))
      } catch (error) {
        if (isTransportError(error)) throw error
        if (isResponse(error)) return toTransportResponse(error)
        const errMsg = errMsgOf(error)
        // The text of an `Error` can hold what was sent or answered: it tells the failure, and is not passed on.
        const { message }: { message?: unknown } = Object(error)
        throw new TransportError(failureOf(errMsg || String(message || '')), scrubbed(errMsg) || errorName(error))
      }
    },
  }
}

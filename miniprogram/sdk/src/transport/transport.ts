import type { CancelSignal } from '../cancel'

export interface TransportRequest {
  /** With the path and the query. */
  url: string
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  headers: { [name: string]: string }
  /** Text to be sent as it is; the content type is among the headers. */
  body?: string
  /** Milliseconds. The SDK itself stops waiting then, so a transport may ignore it. */
  timeout: number
}

export interface TransportResponse {
  status: number
  /** In any case of letters. */
  headers: { [name: string]: string | string[] | undefined }
  /** The text; or what was parsed, where a library always parses. */
  body: unknown
}

export interface UploadRequest {
  url: string
  /** Sent before the file, as `multipart/form-data`. */
  fields: { [name: string]: string }
  /** A path on the phone. */
  filePath: string
  /** The name of the file's part. */
  name: string
  contentType: string
  timeout: number
}

/**
 * What carries requests. An answer of any status is a response; a rejection means that there was none. When the signal
 * is cancelled the request should be aborted; nobody waits for it any longer.
 */
export interface Transport {
  request(request: TransportRequest, signal: CancelSignal): Promise<TransportResponse>
  upload?(request: UploadRequest, signal: CancelSignal): Promise<TransportResponse>
}

export type TransportFailure = 'offline' | 'timeout' | 'network' | 'domain_blocked'

/** What a transport rejects with. Any other rejection counts as `network`. */
export class TransportError extends Error {
  readonly failure: TransportFailure
  constructor(failure: TransportFailure, detail = '') {
    super(detail)
    this.name = 'TransportError'
    this.failure = failure
  }
}

/** By its name, as `isWeappError`. */
export function isTransportError(error: unknown): error is TransportError {
  return error instanceof Error && error.name === 'TransportError' && 'failure' in error
}

import type { CallOptions } from '../http/caller'
import type { Code, CodeRequest } from '../types'
import type { Api } from './api'

export interface CodesApi {
  /**
   * Has WeChat make a mini-program code. A page shows it as `data:${contentType};base64,${data}`. The same request gives
   * the same code, and costs WeChat's quota once in a while only.
   */
  create(code: CodeRequest, options?: CallOptions): Promise<Code>
}

export function codesApi({ call }: Api): CodesApi {
  return {
    create: (code, options) =>
      call({ method: 'POST', path: '/api/v1/wxacode', body: code, repeatable: true, ...options }),
  }
}

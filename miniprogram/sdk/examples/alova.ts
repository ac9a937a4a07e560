import { createAlova } from 'alova'
import adapterFetch from 'alova/fetch'
import { adaptTransport, createClient } from 'weapp-serverless-sdk'

const alova = createAlova({ requestAdapter: adapterFetch(), cacheFor: null, shareRequest: false })

export const client = (baseURL: string, getCode: () => Promise<string>) =>
  createClient({
    baseURL,
    getCode,
    transport: adaptTransport(({ url, method, headers, body, timeout }, signal) => {
      const request = alova.Request<Response>({ url, method, headers, data: body, timeout })
      signal.addEventListener('abort', () => request.abort())
      return request
    }),
  })

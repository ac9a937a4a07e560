import Request, { type HttpData } from 'luch-request'
import { adaptTransport, createClient } from 'weapp-serverless-sdk'

const http = new Request()

export const client = (baseURL: string) =>
  createClient({
    baseURL,
    transport: adaptTransport(({ url, method, headers, body, timeout }, signal) =>
      http.middleware({
        url,
        method,
        timeout,
        header: headers,
        // 类型声明不含文本，实际原样发送
        data: body as unknown as HttpData,
        dataType: 'text',
        getTask: (task) => signal.addEventListener('abort', () => task.abort()),
      }),
    ),
  })

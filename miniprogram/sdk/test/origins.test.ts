/** Functions of one's own: another server, which learns from the backend who calls. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { createClient, hasReason, isWeappError, wxPlatform } from 'weapp-serverless-sdk'
import * as sealed from 'weapp-serverless-sdk/sealed'
import { Backend, clientOf, expire, fastRuntime, newPhone, type Phone } from './kit'

const REFRESH = '/api/v1/user/refresh'
const LOGIN = '/api/v1/user/login'

interface Got {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

let backend: Backend
let server: Server
let origin: string
let got: Got[] = []
/** What the server answers to a request of an admitted user. */
let answer: (response: ServerResponse, request: Got) => void

const hello = (response: ServerResponse) => {
  response.setHeader('Content-Type', 'application/json')
  response.end('{"message":"hello","code":7}')
}

/** The way of docs/extend.md, "Asking this API": only for whom the backend admits. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request) body += chunk
  const one = { method: request.method || '', url: request.url || '', headers: request.headers, body }
  got.push(one)
  const { authorization } = request.headers
  if (authorization) {
    const asked = await fetch(`${backend.url}/api/v1/user/info`, { headers: { authorization } })
    if (asked.status !== 200) {
      response.statusCode = asked.status
      // What API Gateway says for an authorizer.
      response.end(asked.status === 401 ? '{"message":"Unauthorized"}' : await asked.text())
      return
    }
  }
  answer(response, one)
}

before(async () => {
  backend = await Backend.start()
  server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server?.closeAllConnections()
  server?.close()
  await backend?.stop()
})
afterEach(() => {
  got = []
  answer = hello
})

const own = (phone: Phone, options: Parameters<typeof clientOf>[1] = {}) =>
  clientOf(phone, { origins: [origin], ...options })

test('a function of one’s own gets the token of a silent login, and its whole body is the result', async () => {
  answer = hello
  const client = own(newPhone(backend))
  assert.deepEqual(await client.request('GET', `${origin}/hello?name=a%20b`), { message: 'hello', code: 7 })
  assert.equal(got.length, 1)
  assert.equal(got[0]?.url, '/hello?name=a%20b')
  assert.match(String(got[0]?.headers.authorization), /^Bearer \S{40,}$/)

  await client.request('POST', `${origin}/orders`, { body: { item: 1 } })
  assert.equal(got[1]?.body, '{"item":1}')
  assert.equal(got[1]?.headers['content-type'], 'application/json')

  await client.request('GET', `${origin}/public`, { isPublic: true })
  assert.equal(got[2]?.headers.authorization, undefined)
})

test('text is a result, and so is nothing', async () => {
  const client = own(newPhone(backend))
  answer = (response) => response.end('你好')
  assert.equal(await client.request('GET', `${origin}/text`), '你好')
  answer = (response) => {
    response.statusCode = 204
    response.end()
  }
  assert.equal(await client.request('DELETE', origin), null)
})

test('an envelope of a success is the result like any other body', async () => {
  answer = (response) => response.end('{"code":200,"data":{"id":1}}')
  assert.deepEqual(await own(newPhone(backend)).request('GET', `${origin}/x`), { code: 200, data: { id: 1 } })
})

test('an expired token is refreshed, and the request repeated', async () => {
  const phone = newPhone(backend)
  await own(phone).user.get()
  expire(phone)
  phone.sent.length = 0
  const client = own(phone)
  await client.request('POST', `${origin}/hello`, { body: {} })
  assert.equal(phone.count(REFRESH), 1)
  assert.equal(phone.count(LOGIN), 0)
  assert.equal(got.length, 2)
  assert.notEqual(got[0]?.headers.authorization, got[1]?.headers.authorization)
})

test('a session that has ended is followed by a login', async () => {
  const phone = newPhone(backend)
  const client = own(phone)
  await client.user.get()
  const other = clientOf(phone, { platform: { ...wxPlatform(phone.wx), storage: new Memory() } })
  await other.login()
  await other.logout({ all: true })
  phone.sent.length = 0
  assert.deepEqual(await client.request('GET', `${origin}/hello`), { message: 'hello', code: 7 })
  assert.equal(phone.count(LOGIN), 1)
})

test('a 401 for any token is a refusal, after one repetition', async () => {
  answer = (response) => {
    response.statusCode = 401
    response.end('{"message":"Unauthorized"}')
  }
  const client = own(newPhone(backend))
  await assert.rejects(client.request('GET', `${origin}/hello`), (error) => {
    assert(hasReason(error, 'token_invalid'))
    assert.equal(error.kind, 'api')
    return true
  })
  assert.equal(got.length, 2)
})

test('what passes is repeated where that is harmless', async () => {
  const runtime = fastRuntime()
  const phone = newPhone(backend)
  const client = own(phone, { runtime, timeout: 1_000_000 })
  let failures = 1
  answer = (response) => {
    if (failures-- > 0) response.statusCode = 503
    response.end('{}')
  }
  await client.request('GET', `${origin}/x`)
  assert.equal(got.length, 2)
  failures = 1
  await assert.rejects(client.request('POST', `${origin}/x`, { body: {} }), (error) => hasReason(error, 'unavailable'))
  assert.equal(got.length, 3)
})

test('a refusal has its status and its body, also where the body has another form', async () => {
  const client = own(newPhone(backend))
  for (const [status, reason] of [
    [400, 'refused'],
    [403, 'forbidden'],
    [404, 'refused'],
    [413, 'body_too_large'],
    [500, 'refused'],
  ] as const) {
    answer = (response) => {
      response.statusCode = status
      response.end('{"error":"no","fields":[null]}')
    }
    await assert.rejects(client.request('POST', `${origin}/x`), (error) => {
      assert(isWeappError(error))
      assert.deepEqual([error.kind, error.status, error.reason], ['api', status, reason])
      assert.deepEqual(error.data, { error: 'no', fields: [null] })
      assert(error.userMessage)
      return true
    })
  }
  answer = (response) => {
    response.statusCode = 403
    response.end('{"code":403,"reason":"user_disabled","message":"账号已停用"}')
  }
  await assert.rejects(client.request('POST', `${origin}/x`), (error) => hasReason(error, 'user_disabled'))
  answer = (response) => {
    response.statusCode = 400
    response.end('{"code":400,"reason":"invalid_request","data":{"fields":[null,{"message":1}]}}')
  }
  await assert.rejects(client.request('POST', `${origin}/x`), (error) => hasReason(error, 'invalid_request'))
})

test('a function that does not answer is given up at the time-out', async () => {
  const client = own(newPhone(backend), { timeout: 1_000, retries: 0 })
  await client.user.get()
  answer = () => undefined
  await assert.rejects(client.request('GET', `${origin}/x`), (error) => hasReason(error, 'timeout'))
})

test('the clock of a function is not that of the backend', async () => {
  answer = (response) => {
    response.setHeader('Date', new Date(Date.now() + 86_400_000).toUTCString())
    response.end('{}')
  }
  const phone = newPhone(backend)
  const client = own(phone, { sealed: { load: () => sealed } })
  await client.user.get()
  await client.request('POST', `${origin}/x`, { body: { a: 1 } })
  assert.equal(got[0]?.body, '{"a":1}', 'only the backend has the key of sealed bodies')
  phone.sent.length = 0
  // A sealed body of tomorrow would be refused, and sent again.
  await client.user.update({ nickname: '小明' })
  assert.equal(phone.count('/api/v1/user/info'), 1)
})

test('no other address gets anything', async () => {
  const phone = newPhone(backend)
  const client = own(phone)
  const port = origin.split(':')[2]
  for (const address of [
    'https://evil.example/hello',
    `https://127.0.0.1:${port}/hello`,
    `http://localhost:${port}/hello`,
    `${origin}0/hello`,
    `${origin}@evil.example/`,
    `${origin}.evil.example/`,
    `${origin}\\@evil.example/`,
    `${origin}#@evil.example/`,
    `${origin}\t/hello`,
    ` ${origin}/hello`,
    `http://user@127.0.0.1:${port}/hello`,
    `//127.0.0.1:${port}/hello`,
    `${backend.url}/api/v1/user/info`,
  ]) {
    await assert.rejects(client.request('GET', address), (error) => {
      assert(hasReason(error, 'address_refused'), address)
      assert.equal(error.kind, 'client')
      return true
    })
  }
  assert.deepEqual(phone.sent, [], 'not even a login')
  assert.deepEqual(got, [])
})

test('an origin is compared as browsers compare it', async () => {
  const seen: string[] = []
  const platform = { ...wxPlatform(newPhone(backend).wx) }
  platform.transport = {
    async request({ url }) {
      seen.push(url)
      return { status: 200, headers: {}, body: '{}' }
    },
  }
  const client = createClient({ baseURL: 'https://api.example.com', platform, origins: ['https://Fn.Example.com/'] })
  for (const address of ['https://fn.example.com/a', 'HTTPS://FN.EXAMPLE.COM:443/b', 'https://fn.example.com?c']) {
    await client.request('GET', address, { isPublic: true })
  }
  assert.equal(seen.length, 3)
  await assert.rejects(client.request('GET', 'https://fn.example.com:8443/', { isPublic: true }), isWeappError)
})

test('origins are https, but for this machine and for a backend that is http', () => {
  const make = (baseURL: string, one: string) => () =>
    createClient({ baseURL, platform: wxPlatform(newPhone(backend).wx), origins: [one] })
  const refused = (error: unknown) => hasReason(error, 'address_refused')
  for (const one of ['http://fn.example.com', 'https://fn.example.com/stage', 'fn.example.com', '*', 'https://*', '']) {
    assert.throws(make('https://api.example.com', one), refused, one)
  }
  make('https://api.example.com', 'http://127.0.0.1:3000')()
  make('https://api.example.com', 'http://localhost:3000')()
  make('http://192.168.1.2:9000', 'http://192.168.1.2:3000')()
})

/** A storage of its own: another device. */
class Memory {
  private readonly stored = new Map<string, string>()
  get = (key: string) => this.stored.get(key)
  set = (key: string, value: string) => void this.stored.set(key, value)
  remove = (key: string) => void this.stored.delete(key)
}

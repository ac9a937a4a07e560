import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  adaptTransport,
  createClient,
  fetchPlatform,
  hasReason,
  isWeappError,
  wxPlatform,
  wxTransport,
} from 'weapp-serverless-sdk'
import * as sealed from 'weapp-serverless-sdk/sealed'
import { client as alovaClient } from '../examples/alova'
import { client as luchClient } from '../examples/luch'
import { Backend, newPhone, type Phone } from './kit'

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

const codeOf = (phone: Phone) => async () => (await backend.control('code', { user: phone.user })).code || ''

test('fetch carries requests in node and in browsers', async () => {
  const phone = newPhone(backend)
  const client = createClient({ baseURL: backend.url, platform: fetchPlatform(fetch), getCode: codeOf(phone) })
  assert.equal((await client.user.update({ nickname: '小明' })).nickname, '小明')
  await assert.rejects(client.request('GET', '/api/v1/nothing'), (error) => hasReason(error, 'not_found'))
  const gone = createClient({ baseURL: 'http://127.0.0.1:1', platform: fetchPlatform(fetch), getCode: codeOf(phone) })
  await assert.rejects(gone.user.get(), (error) => isWeappError(error) && error.kind === 'network')
})

test('fetch is what the SDK finds where there is neither wx nor uni', async () => {
  const client = createClient({ baseURL: backend.url, getCode: codeOf(newPhone(backend)) })
  assert((await client.user.get()).id)
})

test('fetch is aborted when a call is cancelled', async () => {
  let isAborted = false
  const never: typeof fetch = (_url, init) =>
    new Promise((_resolve, reject) => {
      init?.signal?.addEventListener('abort', () => {
        isAborted = true
        reject(new Error('aborted'))
      })
    })
  const client = createClient({ baseURL: backend.url, platform: fetchPlatform(never as typeof fetch), timeout: 50 })
  await assert.rejects(
    client.request('GET', '/health', { isPublic: true }),
    (error) => hasReason(error, 'timeout') && isAborted,
  )
})

test('uni carries requests as wx does, and names its provider', async () => {
  const phone = newPhone(backend)
  // Not all of uni's platforms have a file system manager.
  const { getFileSystemManager, ...functions } = phone.wx
  let provider: unknown
  const platform = wxPlatform({
    ...functions,
    login: (options: unknown) => {
      provider = (options as { provider?: string }).provider
      return functions.login?.(options)
    },
    getFileInfo: (options: unknown) => getFileSystemManager?.().getFileInfo(options),
  })
  const client = createClient({ baseURL: backend.url, platform })
  assert.equal((await client.avatar.upload('http://tmp/picture.png')).status, 'published')
  assert.equal(provider, 'weixin')
})

test('Taro’s functions return promises beside their callbacks', async () => {
  const phone = newPhone(backend)
  const { wx } = phone
  // Taro.request returns a promise with `abort`, which rejects when the request fails.
  const request = (options: unknown) => {
    const callbacks = options as { success(value: unknown): void; fail(error: unknown): void }
    let task: { abort?: () => void } = {}
    const promise = new Promise((resolve, reject) => {
      const success = (value: unknown) => {
        callbacks.success(value)
        resolve(value)
      }
      const fail = (error: unknown) => {
        callbacks.fail(error)
        reject(error)
      }
      task = wx.request({ ...callbacks, success, fail }) as typeof task
    })
    return Object.assign(promise, { abort: () => task.abort?.() })
  }
  const client = createClient({ baseURL: backend.url, platform: wxPlatform({ ...wx, request }), retries: 0 })
  assert((await client.user.get()).id)
  phone.isOffline = true
  await assert.rejects(client.user.get(), (error) => hasReason(error, 'offline'))
})

test('luch-request is kept as it is', async () => {
  const phone = newPhone(backend)
  Object.assign(globalThis, { uni: phone.wx })
  try {
    const client = luchClient(backend.url)
    assert.equal((await client.user.update({ nickname: '小明' })).nickname, '小明')
    // It rejects with the response: a refusal all the same.
    await assert.rejects(client.user.update({ nickname: '' }), (error) => hasReason(error, 'invalid_request'))
    phone.interference.before = () => ({ statusCode: 401, data: '{"code":401,"reason":"session_revoked"}', header: {} })
    await assert.rejects(client.user.get(), (error) => isWeappError(error) && error.status === 401)
    phone.interference = {}
    phone.isOffline = true
    await assert.rejects(client.user.get(), (error) => isWeappError(error) && error.kind === 'network')
  } finally {
    Object.assign(globalThis, { uni: undefined })
  }
})

test('alova is kept as it is', async () => {
  const client = alovaClient(backend.url, codeOf(newPhone(backend)))
  assert.equal((await client.user.update({ nickname: '小明' })).nickname, '小明')
  assert.equal((await client.user.get()).nickname, '小明')
  await assert.rejects(client.user.update({ nickname: '' }), (error) => hasReason(error, 'invalid_request'))
})

test('an adapted library leaves uploads to wx', async () => {
  const { wx } = newPhone(backend)
  const send = ({ url, ...init }: { url: string; method: string; headers: object; body?: string }) =>
    fetch(url, init as RequestInit)
  const adapted = adaptTransport(send)
  const platform = wxPlatform(wx)
  const alone = createClient({ baseURL: backend.url, platform, transport: adapted })
  await assert.rejects(alone.avatar.upload('http://tmp/picture.png'), (error) => hasReason(error, 'unsupported'))
  const transport = { ...wxTransport(wx), ...adapted }
  const client = createClient({ baseURL: backend.url, platform, transport })
  assert.equal((await client.avatar.upload('http://tmp/picture.png')).status, 'published')
})

test('sealed bodies pass through fetch', async () => {
  const client = createClient({
    baseURL: backend.url,
    platform: fetchPlatform(fetch),
    getCode: codeOf(newPhone(backend)),
    sealed: { load: () => sealed },
  })
  assert.equal((await client.user.update({ nickname: '密封' })).nickname, '密封')
})

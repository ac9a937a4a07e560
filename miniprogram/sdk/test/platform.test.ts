/** What WeChat, and what looks like it, does beside the rule. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { adaptTransport, createClient, fetchPlatform, hasReason, isWeappError, wxPlatform } from 'weapp-serverless-sdk'
import { adminApi } from 'weapp-serverless-sdk/admin'
import * as sealed from 'weapp-serverless-sdk/sealed'
import { Backend, clientOf, expire, fastRuntime, newPhone, type WxAnswer } from './kit'

const INFO = '/api/v1/user/info'
const REFRESH = '/api/v1/user/refresh'

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

const reason = (wanted: Parameters<typeof hasReason>[1]) => (error: unknown) => hasReason(error, wanted)
const failing = (errMsg: string) => (options: unknown) => (options as { fail(error: object): void }).fail({ errMsg })

test('a status that comes as text is one', async () => {
  const phone = newPhone(backend)
  phone.interference.after = (_sent, answer) => {
    Object.assign(answer, { statusCode: String(answer.statusCode) })
  }
  await clientOf(phone).user.get()
  expire(phone)
  const client = clientOf(phone)
  await client.user.get()
  assert.equal(phone.count(REFRESH), 1)
  await assert.rejects(client.user.update({ nickname: '' }), (error) => isWeappError(error) && error.status === 400)
})

test('an answer that was parsed already, without headers, is one', async () => {
  const phone = newPhone(backend)
  phone.interference.after = (_sent, answer) => {
    Object.assign(answer, { data: JSON.parse(String(answer.data)), header: undefined })
  }
  assert((await clientOf(phone).user.get()).id)
})

test('the envelope of something else on the way is no answer', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  for (const data of ['{"code":0,"data":{"id":"x"}}', '{"code":403,"msg":"blocked"}', '{"message":"ok"}', 'null']) {
    phone.interference.before = () => ({ statusCode: 200, data, header: {} })
    await assert.rejects(client.user.get(), reason('bad_response'))
  }
})

test('a 401 of something on the way leaves the session alone', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  phone.sent.length = 0
  const portal: WxAnswer = { statusCode: 401, data: '<html>', header: {} }
  phone.interference.before = () => portal
  await assert.rejects(client.user.get(), reason('bad_response'))
  assert.deepEqual(
    phone.sent.map(({ path }) => path),
    [INFO],
  )
})

test('a first start without a network is offline, not refused', async () => {
  const phone = newPhone(backend)
  phone.isOffline = true
  phone.loginFailure = 'login:fail Error: connect'
  await assert.rejects(clientOf(phone).user.get(), reason('offline'))
  phone.isOffline = false
  await assert.rejects(clientOf(phone).user.get(), (error) => {
    assert(hasReason(error, 'login_failed'))
    assert.match(error.message, /login:fail Error: connect/)
    return true
  })
})

test('a picture that the phone can’t read is told as one', async () => {
  const { getImageInfo, getFileSystemManager, ...wx } = newPhone(backend).wx
  const unread = { ...wx, getFileSystemManager, getImageInfo: failing('getImageInfo:fail file not found') }
  const client = createClient({ baseURL: backend.url, platform: wxPlatform(unread as typeof wx) })
  await assert.rejects(client.avatar.upload('http://tmp/gone.png'), reason('upload_failed'))
  // A platform that tells no sizes must not be waited for.
  const unsized = createClient({ baseURL: backend.url, platform: wxPlatform({ ...wx, getImageInfo } as typeof wx) })
  await assert.rejects(unsized.avatar.upload('http://tmp/picture.png'), reason('unsupported'))
})

test('a function that never calls back is given up', async () => {
  const wx = { ...newPhone(backend).wx, getImageInfo: () => undefined, getRandomValues: () => undefined }
  const options = { baseURL: backend.url, platform: wxPlatform(wx), timeout: 1_000 }
  const client = createClient(options)
  await assert.rejects(client.avatar.choose('http://tmp/picture.png'), reason('timeout'))
  const sealing = createClient({ ...options, sealed: { load: () => sealed }, retries: 0 })
  await assert.rejects(sealing.login(), reason('timeout'))
})

test('without random bytes nothing is sealed, and the error says so', async () => {
  const wx = { ...newPhone(backend).wx, getRandomValues: failing('getRandomValues:fail') }
  const client = createClient({ baseURL: backend.url, platform: wxPlatform(wx), sealed: { load: () => sealed } })
  await assert.rejects(client.login(), reason('unsupported'))
})

test('a platform may be an object of a class', async () => {
  const phone = newPhone(backend)
  class Own {
    private readonly user = phone.user
    readonly transport = fetchPlatform(fetch).transport
    readonly storage = fetchPlatform(fetch).storage
    async getCode() {
      return (await backend.control('code', { user: this.user })).code || ''
    }
  }
  assert((await createClient({ baseURL: backend.url, platform: new Own() }).user.get()).id)
})

test('a library’s time-out is one, and its errors are told by name only', async () => {
  const outcomes: unknown[] = [new Error('network timeout'), new TypeError('token eyJ0 is not valid JSON'), undefined]
  const send = () => Promise.reject(outcomes.shift())
  const client = createClient({
    baseURL: backend.url,
    platform: fetchPlatform(fetch),
    transport: adaptTransport(send),
    retries: 0,
  })
  const call = () => client.request('GET', '/health', { isPublic: true })
  await assert.rejects(call(), reason('timeout'))
  await assert.rejects(call(), (error) => isWeappError(error) && error.message === 'network, TypeError')
  await assert.rejects(call(), (error) => isWeappError(error) && error.message === 'network')
})

test('a backend that does not run is named by the error’s code', async () => {
  const client = createClient({ baseURL: 'http://127.0.0.1:1', platform: fetchPlatform(fetch), retries: 0 })
  await assert.rejects(client.request('GET', '/health', { isPublic: true }), reason('network'))
  const getCode = () => fetch('http://127.0.0.1:1').then(() => '')
  await assert.rejects(createClient({ baseURL: backend.url, getCode }).login(), (error) => {
    assert(hasReason(error, 'login_failed'))
    assert.match(error.message, /TypeError/)
    return true
  })
})

test('a getCode that reaches no server is a failure of the network', async () => {
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  await new Promise((resolve) => closed.close(resolve))
  const refusing = () => fetch(`http://127.0.0.1:${port}`).then(() => '')
  const wxRefusing = () => Promise.reject({ errMsg: 'request:fail timeout' })
  for (const [getCode, wanted] of [
    [refusing, 'network'],
    [wxRefusing, 'timeout'],
  ] as const) {
    await assert.rejects(createClient({ baseURL: backend.url, getCode }).login(), (error) => {
      assert(hasReason(error, wanted))
      assert.equal(error.kind, 'network')
      return true
    })
  }
})

test('where there is no wx.login the failure says what to do', async () => {
  await assert.rejects(createClient({ baseURL: backend.url }).user.get(), (error) => {
    assert(hasReason(error, 'unsupported'))
    assert.match(error.message, /getCode/)
    assert.match(error.userMessage, /getCode/)
    return true
  })
})

test('a path can’t name another host', async () => {
  const client = clientOf(newPhone(backend))
  for (const path of ['@evil.example/', '.evil.example/', 'https://evil.example/', '//evil.example/', '']) {
    await assert.rejects(client.request('GET', path), reason('address_refused'))
  }
})

test('an id can’t name another path', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const admin = adminApi(client)
  await client.user.get()
  phone.sent.length = 0
  for (const id of ['', '.', '..']) {
    for (const call of [
      () => client.sessions.end(id),
      () => client.consents.agree(id, 1),
      () => client.consents.withdraw(id),
      () => client.config.get(id),
      () => admin.users.get(id),
      () => admin.users.update(id, { nickname: null, version: 1 }),
      () => admin.users.delete(id),
      () => admin.users.endSessions(id),
      () => admin.sagas.resume(id),
      () => admin.config.get(id),
      () => admin.config.set(id, 1),
      () => admin.config.delete(id),
    ]) {
      await assert.rejects(call, TypeError, `${call} ${id}`)
    }
  }
  assert.deepEqual(phone.sent, [])
})

test('the waits between many repetitions do not grow beyond the longest one', async () => {
  const phone = newPhone(backend)
  const runtime = fastRuntime()
  const client = clientOf(phone, { runtime, timeout: 1_000_000, retries: 6, maxRetryWait: 1_000 })
  await client.user.get()
  runtime.waits.length = 0
  phone.interference.before = () => ({ statusCode: 503, data: '', header: {} })
  await assert.rejects(client.user.get(), reason('unavailable'))
  const waits = runtime.waits.filter((ms) => ms < 1_000_000)
  assert.deepEqual(waits, [225, 450, 750, 750, 750, 750])
})

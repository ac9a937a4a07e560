import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createCanceller, hasReason, isWeappError } from 'weapp-serverless-sdk'
import { Backend, clientOf, expire, Fail, fastRuntime, gate, newPhone, type Phone, recordingRuntime } from './kit'

const INFO = '/api/v1/user/info'
const MESSAGE = '/api/v1/user/session-key/reset'

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

const reason = (wanted: Parameters<typeof hasReason>[1]) => (error: unknown) => hasReason(error, wanted)

/** What API Gateway says by itself, once for each of the statuses; then the backend answers. */
function gatewayAnswers(phone: Phone, path: string, ...statuses: number[]): void {
  phone.interference.before = (sent) => {
    const status = sent.path === path ? statuses.shift() : undefined
    return status ? { statusCode: status, data: '{"message":"Service Unavailable"}', header: {} } : undefined
  }
}

async function signedIn(options: Parameters<typeof clientOf>[1] = {}, own = backend) {
  const phone = newPhone(own)
  const runtime = fastRuntime()
  // A hundred times as fast, and so the limit of a request, which nothing here should reach.
  const client = clientOf(phone, { runtime, timeout: 1_000_000, ...options })
  await client.login()
  phone.sent.length = 0
  runtime.waits.length = 0
  return { phone, client, runtime }
}

test('a call above the rate limit waits for Retry-After and is repeated', async () => {
  const limited = await Backend.start({ RATE_LIMIT_USER: '60/min burst 1' })
  try {
    const runtime = recordingRuntime()
    const { client, phone } = await signedIn({ runtime, timeout: 10_000 }, limited)
    await Promise.all([client.user.get(), client.user.get()])
    assert(phone.count(INFO) >= 3, 'one of them was refused')
    // Retry-After is in whole seconds, and the jitter only adds to it.
    const waited = runtime.waits.filter((ms) => ms > 1_000 && ms < 2_000)
    assert(waited.length >= 1, String(runtime.waits))
  } finally {
    await limited.stop()
  }
})

test('a Retry-After that is a date is measured by the backend’s clock', async () => {
  const at = (ms: number) => new Date(ms).toUTCString()
  const now = Date.UTC(2026, 10, 26, 12, 0, 0)
  for (const [header, wanted] of [
    [at(now + 90_000), 90],
    [at(now - 90_000), 0],
    ['Thursday, 26-Nov-26 12:01:30 GMT', 90],
    ['soon', undefined],
    ['1.5', undefined],
  ] as const) {
    const { client, phone } = await signedIn({ retries: 0 })
    phone.interference.before = () => ({
      statusCode: 429,
      data: '',
      // The phone's clock is another one.
      header: { 'Retry-After': header, Date: at(now) },
    })
    await assert.rejects(client.user.get(), (error) => {
      assert(hasReason(error, 'rate_limited'))
      assert.equal(error.retryAfter, wanted, header)
      return true
    })
  }
})

test('a Retry-After that is too long is left to the page', async () => {
  const limited = await Backend.start({ RATE_LIMIT_USER: '1/min burst 1' })
  try {
    const { client, phone } = await signedIn({}, limited)
    await client.user.get()
    await assert.rejects(client.user.get(), (error) => {
      assert(hasReason(error, 'rate_limited'))
      assert((error.retryAfter || 0) > 5)
      assert.equal(error.userMessage, '操作过于频繁，请稍后再试')
      return true
    })
    assert.equal(phone.count(INFO), 2)
  } finally {
    await limited.stop()
  }
})

test('what passes is repeated with growing waits, and not for ever', async () => {
  const { phone, client, runtime } = await signedIn()
  gatewayAnswers(phone, INFO, 503, 504)
  await client.user.get()
  assert.equal(phone.count(INFO), 3)
  const waits = runtime.waits.filter((ms) => ms < 1_000_000)
  assert.deepEqual(waits, [225, 450])

  gatewayAnswers(phone, INFO, 503, 503, 503)
  await assert.rejects(client.user.get(), reason('unavailable'))
})

test('what would be done twice is repeated only if nothing was done', async () => {
  const { phone, client } = await signedIn()
  gatewayAnswers(phone, MESSAGE, 503)
  await assert.rejects(client.resetSessionKey(), reason('unavailable'))
  assert.equal(phone.count(MESSAGE), 1)
  gatewayAnswers(phone, MESSAGE, 429, 408)
  await client.resetSessionKey()
  assert.equal(phone.count(MESSAGE), 4)
  phone.interference.before = () => {
    throw new Fail('request:fail ')
  }
  await assert.rejects(client.resetSessionKey(), reason('network'))
  assert.equal(phone.count(MESSAGE), 5)
})

test('a refusal is not repeated', async () => {
  const { phone, client } = await signedIn()
  await assert.rejects(client.user.update({ nickname: '' }), (error) => {
    assert(hasReason(error, 'invalid_request'))
    assert.equal(error.data?.fields[0]?.field, 'nickname')
    assert.match(error.userMessage, /字符/)
    assert.equal(error.status, 400)
    assert(error.requestId)
    return true
  })
  assert.equal(phone.count(INFO), 1)
})

test('no network, a broken one and a slow one are told apart', async () => {
  const { phone, client } = await signedIn()
  phone.isOffline = true
  await assert.rejects(client.user.get(), reason('offline'))
  assert.equal(phone.count(INFO), 1, 'without a network nothing is repeated')
  phone.isOffline = false

  for (const [errMsg, wanted] of [
    ['request:fail timeout', 'timeout'],
    ['request:fail errcode:-118 cronet_error_code:-118 error_msg:net::ERR_CONNECTION_TIMED_OUT', 'timeout'],
    ['request:fail -106:net::ERR_INTERNET_DISCONNECTED', 'offline'],
    ['request:fail url not in domain list:https://api.example.com', 'domain_blocked'],
    ['request:fail 请求超时。', 'timeout'],
    ['request:fail 似乎已断开与互联网的连接。', 'offline'],
    ['request:fail The Internet connection appears to be offline.', 'offline'],
    ['request:fail interrupted', 'network'],
  ] as const) {
    phone.interference.before = () => {
      throw new Fail(errMsg)
    }
    await assert.rejects(client.user.get(), reason(wanted))
  }
})

test('a network that comes back is used', async () => {
  const { phone, client } = await signedIn()
  let broken = 2
  phone.interference.before = () => {
    broken -= 1
    if (broken >= 0) throw new Fail('request:fail ')
    return undefined
  }
  await client.user.get()
  assert.equal(phone.count(INFO), 3)
})

test('a request without an answer times out, and is aborted', async () => {
  const { phone } = await signedIn()
  const client = clientOf(phone, { timeout: 50, retries: 0 })
  const { passed, open } = gate()
  phone.interference.before = async () => {
    await passed
    return undefined
  }
  await assert.rejects(client.user.get(), reason('timeout'))
  assert.equal(phone.aborted, 1)
  open()
})

test('a login page of a public network is no answer', async () => {
  const { phone, client } = await signedIn()
  for (const statusCode of [200, 302, 404]) {
    phone.interference.before = () => ({ statusCode, data: '<html>', header: { 'Content-Type': 'text/html' } })
    await assert.rejects(client.user.get(), reason('bad_response'))
  }
})

test('a cancelled call ends at once and aborts its request', async () => {
  const { phone, client } = await signedIn()
  const { passed, open } = gate()
  const asked = gate()
  phone.interference.before = async () => {
    asked.open()
    await passed
    return undefined
  }
  const { signal, cancel } = createCanceller()
  const call = client.user.get({ signal })
  await asked.passed
  cancel()
  await assert.rejects(call, (error) => isWeappError(error) && error.kind === 'cancelled')
  assert.equal(phone.aborted, 1)
  open()
  await assert.rejects(client.user.get({ signal }), reason('cancelled'))
  assert.equal(phone.count(INFO), 1, 'what is cancelled before is not sent')
})

test('the platform’s own AbortSignal cancels, too', async () => {
  const { client } = await signedIn()
  const aborting = new AbortController()
  const call = client.user.get({ signal: aborting.signal })
  aborting.abort()
  await assert.rejects(call, reason('cancelled'))
})

test('a cancelled call leaves the refresh to the others', async () => {
  const phone = newPhone(backend)
  await clientOf(phone).login()
  expire(phone)
  const client = clientOf(phone)
  const { passed, open } = gate()
  const refreshing = gate()
  phone.interference.after = async (sent) => {
    if (sent.path !== '/api/v1/user/refresh') return
    refreshing.open()
    await passed
  }
  const { signal, cancel } = createCanceller()
  const [cancelled, other] = [client.user.get({ signal }), client.user.get()]
  await refreshing.passed
  cancel()
  await assert.rejects(cancelled, reason('cancelled'))
  open()
  await other
  assert.equal(phone.codes.length, 1)
})

test('a wait before a repetition can be cancelled', async () => {
  const { phone, client } = await signedIn({ runtime: recordingRuntime() })
  const refused = gate()
  phone.interference.before = () => {
    refused.open()
    return { statusCode: 429, data: '', header: { 'Retry-After': '5' } }
  }
  const { signal, cancel } = createCanceller()
  const call = client.user.get({ signal })
  await refused.passed
  const since = Date.now()
  cancel()
  await assert.rejects(call, reason('cancelled'))
  assert(Date.now() - since < 4_000)
  assert.equal(phone.count(INFO), 1)
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { hasReason } from 'weapp-serverless-sdk'
import {
  Backend,
  change,
  clientOf,
  expire,
  expired,
  Fail,
  fastRuntime,
  gate,
  newPhone,
  type Phone,
  recordingRuntime,
  skewedRuntime,
  stored,
} from './kit'

const REFRESH = '/api/v1/user/refresh'
const LOGIN = '/api/v1/user/login'
const LOGOUT = '/api/v1/user/logout'
const INFO = '/api/v1/user/info'
const HOUR = 3_600_000

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

/** A phone that has logged in before, and whose access token has expired since. */
async function returning(): Promise<Phone> {
  const phone = newPhone(backend)
  await clientOf(phone).user.get()
  expire(phone)
  phone.sent.length = 0
  phone.codes.length = 0
  return phone
}

const reason = (wanted: Parameters<typeof hasReason>[1]) => (error: unknown) => hasReason(error, wanted)

test('the first calls log in silently, with one code and one session', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const users = await Promise.all(Array.from({ length: 10 }, () => client.user.get()))
  assert.equal(new Set(users.map(({ id }) => id)).size, 1)
  assert.equal(phone.codes.length, 1)
  assert.equal((await client.sessions.list()).length, 1)
})

test('a hundred calls with an expired token share one refresh and keep the session', async () => {
  const phone = await returning()
  const client = clientOf(phone)
  const users = await Promise.all(Array.from({ length: 100 }, () => client.user.get()))
  assert.equal(users.length, 100)
  assert.equal(phone.count(REFRESH), 1)
  assert.equal(phone.count(LOGIN), 0)
  assert.equal((await client.sessions.list()).length, 1)
})

test('a new client takes up the stored session without a login', async () => {
  const phone = newPhone(backend)
  const { id } = await clientOf(phone).user.get()
  const again = await clientOf(phone).user.get()
  assert.equal(again.id, id)
  assert.equal(phone.codes.length, 1)
  assert.equal(phone.count(REFRESH), 0)
})

test('a refresh whose answer is lost is repeated with the same token', async () => {
  const phone = await returning()
  let lost = 0
  phone.interference.after = (sent) => {
    if (sent.path === REFRESH && lost === 0) {
      lost += 1
      throw new Fail('request:fail ')
    }
  }
  await clientOf(phone, { runtime: fastRuntime(), timeout: 600_000 }).user.get()
  const [first, second] = phone.to(REFRESH)
  assert.equal(phone.count(REFRESH), 2)
  assert.equal(first?.body, second?.body)
  assert.equal(phone.count(LOGIN), 0)
})

test('a call fails while the network is gone, and the session survives it', async () => {
  const phone = await returning()
  phone.interference.after = (sent) => {
    if (sent.path !== REFRESH) return
    phone.isOffline = true
    throw new Fail('request:fail ')
  }
  const client = clientOf(phone)
  await assert.rejects(client.user.get(), reason('offline'))
  assert.equal(phone.count(REFRESH), 1)
  phone.isOffline = false
  phone.interference = {}
  await client.user.get()
  assert.equal(phone.count(LOGIN), 0)
})

test('a logout during a refresh ends the refreshed session and logs nobody in', async () => {
  const phone = await returning()
  const client = clientOf(phone)
  const { passed, open } = gate()
  const refreshing = gate()
  phone.interference.after = async (sent) => {
    if (sent.path !== REFRESH) return
    refreshing.open()
    await passed
  }
  const calls = Promise.allSettled([client.user.get(), client.user.get()])
  await refreshing.passed
  const logout = client.logout()
  await assert.rejects(client.user.get(), reason('signed_out'))
  open()
  await logout
  for (const outcome of await calls) {
    if (outcome.status === 'rejected') assert(hasReason(outcome.reason, 'signed_out'), String(outcome.reason))
  }
  assert.equal(phone.codes.length, 0)
  assert.equal(stored(phone).state, 'out')
  // The session that the logout ended is the refreshed one.
  const token = phone.to(LOGOUT)[0]?.headers.Authorization || ''
  const response = await fetch(backend.url + INFO, { headers: { Authorization: token } })
  assert.equal((await response.json()).reason, 'session_revoked')
})

test('a logout with an expired token refreshes it first', async () => {
  const phone = await returning()
  await clientOf(phone).logout()
  assert.deepEqual(
    phone.sent.map(({ path }) => path),
    [LOGOUT, REFRESH, LOGOUT],
  )
})

test('after a logout calls fail until a login, also after a restart', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  await client.logout()
  await assert.rejects(client.user.get(), reason('signed_out'))
  const restarted = clientOf(phone)
  assert.equal(await restarted.isSignedOut(), true)
  await assert.rejects(restarted.user.get(), reason('signed_out'))
  const { user, isNewUser } = await restarted.login()
  assert.equal(isNewUser, false)
  assert.equal((await restarted.user.get()).id, user.id)
  // The first context notices that the second one has logged in.
  assert.equal((await client.user.get()).id, user.id)
})

test('a logout without a network forgets the session and says that the backend was not told', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  phone.isOffline = true
  await assert.rejects(client.logout(), reason('offline'))
  assert.equal(stored(phone).state, 'out')
})

test('a session that was ended elsewhere is replaced by a silent login', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const { id } = await client.user.get()
  const [session] = await client.sessions.list()
  await client.sessions.end(session?.id || '')
  assert.equal((await client.user.get()).id, id)
  assert.equal(phone.codes.length, 2)
  // What has ended is not refreshed.
  assert.equal(phone.count(REFRESH), 0)
})

test('a backend that restarts with other secrets costs a silent login', async () => {
  const own = await Backend.start()
  try {
    const phone = newPhone(own)
    const client = clientOf(phone)
    const { id } = await client.user.get()
    await own.restart({ JWT_SECRETS: 'another secret of the SDK tests of 32 bytes or more' })
    assert.equal((await client.user.get()).id, id)
    assert.equal(phone.codes.length, 2)
  } finally {
    await own.stop()
  }
})

test('a backend that restarts with another key of access tokens costs a refresh only', async () => {
  const { generateKeyPairSync } = await import('node:crypto')
  const key = () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    return privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')
  }
  const own = await Backend.start({ JWT_KEYS: key() })
  try {
    const phone = newPhone(own)
    const client = clientOf(phone)
    await client.user.get()
    await own.restart({ JWT_KEYS: key() })
    await client.user.get()
    assert.equal(phone.codes.length, 1)
    assert.equal(phone.count(REFRESH), 1)
  } finally {
    await own.stop()
  }
})

test('two contexts on one storage share one refresh', async () => {
  const phone = await returning()
  const contexts = [clientOf(phone), clientOf(phone)]
  await Promise.all(contexts.flatMap((client) => Array.from({ length: 20 }, () => client.user.get())))
  assert.equal(phone.count(REFRESH), 1)
  assert.equal(phone.count(LOGIN), 0)
})

test('two contexts on one storage share one login', async () => {
  const phone = newPhone(backend)
  const [one, other] = [clientOf(phone), clientOf(phone)]
  const [first, second] = await Promise.all([one.user.get(), other.user.get()])
  assert.equal(first.id, second.id)
  assert.equal(phone.codes.length, 1)
})

test('a logout in one context logs the other one out', async () => {
  const phone = newPhone(backend)
  const [one, other] = [clientOf(phone), clientOf(phone)]
  await Promise.all([one.user.get(), other.user.get()])
  await one.logout()
  await assert.rejects(other.user.get(), reason('signed_out'))
  assert.equal(phone.codes.length, 1)
})

test('a context that refreshed long ago leaves its successor to the others', async () => {
  const phone = newPhone(backend)
  const [one, other] = [clientOf(phone), clientOf(phone)]
  await Promise.all([one.user.get(), other.user.get()])
  // Three refreshes later the token that `other` has in memory would revoke the session.
  const old = stored(phone)
  for (let turn = 0; turn < 3; turn += 1) {
    expire(phone)
    await clientOf(phone).user.get()
  }
  assert.notEqual(stored(phone).refreshToken, old.refreshToken)
  phone.interference.before = (sent) => {
    if (sent.headers.Authorization === `Bearer ${old.token}`)
      sent.headers.Authorization = `Bearer ${expired(old.token)}`
    return undefined
  }
  await other.user.get()
  assert.equal(phone.count(REFRESH), 3)
  assert.equal(phone.codes.length, 1)
})

test('a lock that a closed context left is waited for, one from a clock that went back is not', async () => {
  for (const until of [Date.now() + 200, Date.now() + 10 * HOUR]) {
    const phone = await returning()
    phone.stored.set('weapp-session.lock', JSON.stringify({ owner: 'somebody', until }))
    await clientOf(phone).user.get()
    assert.equal(phone.count(REFRESH), 1)
    assert.equal(phone.stored.has('weapp-session.lock'), false)
  }
})

test('a lock that can’t be read does not lock', async () => {
  for (const junk of ['x', 'null', '{}', 7, '{"until":"soon"}']) {
    const phone = await returning()
    phone.stored.set('weapp-session.lock', junk)
    const [one, other] = [clientOf(phone), clientOf(phone)]
    await Promise.all([one.user.get(), other.user.get()])
    assert.equal(phone.count(REFRESH), 1)
    assert.equal(phone.stored.has('weapp-session.lock'), false)
  }
})

test('a lock that another context took meanwhile is left to it', async () => {
  const phone = await returning()
  const theirs = JSON.stringify({ owner: 'somebody', until: Date.now() + 9_000 })
  phone.interference.before = (sent) => {
    if (sent.path === REFRESH) phone.stored.set('weapp-session.lock', theirs)
    return undefined
  }
  await clientOf(phone).user.get()
  assert.equal(phone.stored.get('weapp-session.lock'), theirs)
})

test('a session of another context is refreshed, though the one before was ended', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  const old = stored(phone)
  // Its session was ended at the backend. Another context logged in since, was closed, and this one wakes up after hours.
  const [session] = await client.sessions.list()
  await client.sessions.end(session?.id || '')
  await clientOf(phone).user.get()
  const { served, received } = stored(phone)
  expire(phone)
  change(phone, { served: served - 3 * HOUR, received: received - 3 * HOUR })
  await client.user.get()
  assert.equal(phone.count(REFRESH), 1)
  assert.equal(phone.codes.length, 2)
  assert.notEqual(stored(phone).refreshToken, old.refreshToken)
})

test('a token of another context that has expired as well is refreshed', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  const old = stored(phone)
  // Another context refreshed once and is gone; then this one wakes up, after hours.
  expire(phone)
  await clientOf(phone).user.get()
  const { served, received } = stored(phone)
  expire(phone)
  change(phone, { served: served - 3 * HOUR, received: received - 3 * HOUR })
  phone.interference.before = (sent) => {
    if (sent.headers.Authorization === `Bearer ${old.token}`)
      sent.headers.Authorization = `Bearer ${expired(old.token)}`
    return undefined
  }
  await client.user.get()
  assert.equal(phone.count(REFRESH), 2)
})

test('a phone whose clock is wrong by hours needs no more refreshes than another', async () => {
  for (const hours of [-9, 9]) {
    const phone = newPhone(backend)
    const skew = { ms: hours * HOUR }
    const runtime = skewedRuntime(skew)
    const client = clientOf(phone, { runtime })
    for (let call = 0; call < 3; call += 1) await client.user.get()
    // The clock is set right, or wrong the other way, while the mini-program runs.
    skew.ms = -skew.ms
    for (let call = 0; call < 3; call += 1) await client.user.get()
    assert.equal(phone.codes.length, 1, `${hours} h`)
    assert.equal(phone.count(REFRESH), 0, `${hours} h`)
    // And while it did not run: at most one refresh, which was not needed, and no more after it.
    const restarted = clientOf(phone, { runtime })
    for (let call = 0; call < 3; call += 1) await restarted.user.get()
    assert(phone.count(REFRESH) <= 1, `${hours} h`)
    assert.equal(phone.codes.length, 1, `${hours} h`)
  }
})

test('a clock that jumps is no reason to refresh, even where answers do not tell the time', async () => {
  const phone = newPhone(backend)
  // As in a browser: the backend's CORS does not expose `Date`.
  phone.interference.after = (_sent, { header }) => {
    delete header.Date
  }
  const skew = { ms: 0 }
  const client = clientOf(phone, { runtime: skewedRuntime(skew) })
  await client.user.get()
  for (const hours of [9, -9]) {
    skew.ms = hours * HOUR
    await client.user.get()
  }
  assert.equal(phone.count(REFRESH), 0)
  assert.equal(phone.codes.length, 1)
})

test('without a monotonic clock, as in a mini-program, a jump costs a refresh at most', async () => {
  const phone = newPhone(backend)
  const skew = { ms: 0 }
  const runtime = skewedRuntime(skew)
  const client = clientOf(phone, { runtime: { ...runtime, monotonic: runtime.now } })
  await client.user.get()
  for (const hours of [9, -9]) {
    skew.ms = hours * HOUR
    for (let call = 0; call < 3; call += 1) await client.user.get()
  }
  assert(phone.count(REFRESH) <= 2)
  assert.equal(phone.codes.length, 1)
})

test('a token that is about to expire is refreshed ahead, by the age that the phone can tell', async () => {
  const phone = newPhone(backend)
  await clientOf(phone).user.get()
  const age = (7200 - 30) * 1000
  change(phone, { received: Date.now() - age, served: Date.now() - age })
  phone.sent.length = 0
  await clientOf(phone).user.get()
  assert.deepEqual(
    phone.sent.map(({ path }) => path),
    [REFRESH, INFO],
  )
})

test('a refresh ahead that fails keeps the token that still holds', async () => {
  const phone = newPhone(backend)
  await clientOf(phone).user.get()
  change(phone, { received: Date.now() - 7_190_000, served: Date.now() - 7_190_000 })
  phone.interference.before = (sent) =>
    sent.path === REFRESH ? { statusCode: 503, data: '{"message":"Service Unavailable"}', header: {} } : undefined
  const client = clientOf(phone, { runtime: fastRuntime(), timeout: 600_000 })
  await client.user.get()
  assert.equal(phone.count(LOGIN), 1)
})

test('a full storage costs nothing until the next start', async () => {
  const phone = await returning()
  phone.isStorageFull = true
  const client = clientOf(phone)
  await client.user.get()
  await client.user.get()
  assert.equal(phone.count(REFRESH), 1)
  assert.equal(phone.codes.length, 0)
  // The used up token is not left behind, where it would end the session of the next start.
  assert.equal(phone.stored.has('weapp-session'), false)
  await clientOf(phone).user.get()
  assert.equal(phone.codes.length, 1)
  // The first context still has its session.
  await client.user.get()
  assert.equal(phone.codes.length, 1)
})

test('a storage that always fails costs one login for each start', async () => {
  const phone = newPhone(backend)
  phone.isStorageBroken = true
  const client = clientOf(phone)
  await Promise.all([client.user.get(), client.user.get()])
  await client.user.get()
  assert.equal(phone.codes.length, 1)
})

/** The storage of a phone by asynchronous functions, of which `isStuck` decides whether they ever call back. */
function asynchronous(phone: Phone, isStuck: (name: string, key: string) => boolean) {
  const late: (() => void)[] = []
  let asked = 0
  const answered = <T>(name: string, key: string, work: () => T) =>
    new Promise<T>((done) => {
      asked += 1
      const answer = () => done(work())
      if (isStuck(name, key)) late.push(answer)
      else setTimeout(answer, 1)
    })
  const storage = {
    get: (key: string) => answered('get', key, () => phone.stored.get(key)),
    set: (key: string, value: string) => answered('set', key, () => void phone.stored.set(key, value)),
    remove: (key: string) => answered('remove', key, () => void phone.stored.delete(key)),
  }
  return { storage, late, asked: () => asked }
}

test('an asynchronous storage keeps the session as well', async () => {
  const phone = newPhone(backend)
  const { storage } = asynchronous(phone, () => false)
  const { id } = await clientOf(phone, { storage }).user.get()
  assert.equal((await clientOf(phone, { storage }).user.get()).id, id)
  assert.equal(phone.codes.length, 1)
})

test('a storage that never calls back costs a wait and a login, not the call', async () => {
  const phone = newPhone(backend)
  const { storage, asked } = asynchronous(phone, () => true)
  const runtime = fastRuntime()
  const client = clientOf(phone, { storage, runtime, timeout: 1_000_000 })
  await client.user.get()
  await Promise.all([client.user.get(), client.user.get()])
  assert.equal(phone.codes.length, 1)
  assert.equal(asked(), 1, 'it is left alone after that')
  assert.deepEqual(
    runtime.waits.filter((ms) => ms !== 1_000_000),
    [1_000],
  )
  await client.logout()
  await assert.rejects(client.user.get(), reason('signed_out'))
})

test('a storage that did not answer is asked again later', async () => {
  const phone = newPhone(backend)
  let isStuck = true
  const { storage } = asynchronous(phone, () => isStuck)
  let monotonic = 0
  const runtime = { ...fastRuntime(), monotonic: () => monotonic }
  const client = clientOf(phone, { storage, runtime, timeout: 1_000_000 })
  await client.user.get()
  assert.equal(phone.stored.size, 0)
  isStuck = false
  await client.login()
  assert.equal(phone.stored.size, 0)
  monotonic += 10_000
  await client.login()
  assert.equal(stored(phone).state, 'in')
})

test('a session that a slow storage writes too late logs nobody in again', async () => {
  const phone = newPhone(backend)
  let isStuck = true
  const { storage, late } = asynchronous(phone, (name, key) => isStuck && name === 'set' && key === 'weapp-session')
  let monotonic = 0
  const runtime = { ...fastRuntime(), monotonic: () => monotonic }
  const client = clientOf(phone, { storage, runtime, timeout: 1_000_000 })
  await client.user.get()
  assert.equal(late.length, 1)
  await client.logout()
  // The storage recovers, and does first what it was told first.
  isStuck = false
  monotonic += 10_000
  for (const write of late) write()
  assert.equal(stored(phone).state, 'in')
  assert.equal(await client.isSignedOut(), true)
  await assert.rejects(client.user.get(), reason('signed_out'))
  assert.equal(phone.codes.length, 1)
})

test('what is in the storage is not trusted to be whole, nor to be of this backend', async () => {
  const phone = newPhone(backend)
  const { id } = await clientOf(phone).user.get()
  const { refreshToken } = stored(phone)
  for (const junk of ['', 'x', '{}', '{"state":"in"}', 'null', 7]) {
    phone.stored.set('weapp-session', junk)
    assert.equal((await clientOf(phone).user.get()).id, id)
  }
  for (const useless of ['', 'x', 'y'.repeat(5000)]) {
    change(phone, { refreshToken: useless, token: expired(stored(phone).token) })
    assert.equal((await clientOf(phone).user.get()).id, id)
  }
  phone.stored.set(
    'weapp-session',
    JSON.stringify({ ...stored(phone), baseURL: 'https://another.example', refreshToken }),
  )
  phone.sent.length = 0
  await clientOf(phone).user.get()
  assert.equal(phone.count(REFRESH), 0)
  assert.equal(phone.count(LOGIN), 1)
})

test('a failed wx.login is told apart, and the next call tries again', async () => {
  const phone = newPhone(backend)
  phone.loginFailure = 'login:fail 系统错误'
  const client = clientOf(phone)
  await assert.rejects(client.user.get(), reason('login_failed'))
  phone.loginFailure = undefined
  await client.user.get()
})

test('a login whose answer is lost is repeated with the same code and makes one session', async () => {
  const phone = newPhone(backend)
  let lost = 0
  phone.interference.after = (sent) => {
    if (sent.path === LOGIN && lost === 0) {
      lost += 1
      throw new Fail('request:fail ')
    }
  }
  const client = clientOf(phone, { runtime: fastRuntime(), timeout: 600_000 })
  await client.user.get()
  assert.equal(phone.count(LOGIN), 2)
  assert.equal(phone.codes.length, 1)
  assert.equal((await client.sessions.list()).length, 1)
})

test('a refused code is replaced by a new one', async () => {
  const phone = newPhone(backend)
  let isFirst = true
  const getCode = async () => {
    if (isFirst) {
      isFirst = false
      return 'a-code-that-nobody-issued'
    }
    return (await backend.control('code', { user: phone.user })).code || ''
  }
  await clientOf(phone, { getCode }).user.get()
  assert.equal(phone.count(LOGIN), 2)
})

test('every login is told, silent ones included', async () => {
  const phone = newPhone(backend)
  const told: boolean[] = []
  const client = clientOf(phone, { onLogin: ({ isNewUser }) => told.push(isNewUser), runtime: recordingRuntime() })
  await client.user.get()
  await client.login()
  assert.deepEqual(told, [true, false])
})

test('calls that wait for a refresh fail together, after its attempts and no more', async () => {
  const phone = await returning()
  const calls = 20
  const { passed, open } = gate()
  let refused = 0
  phone.interference = {
    async before(sent) {
      if (sent.path !== REFRESH) return undefined
      await passed
      throw new Fail('request:fail ')
    },
    after() {
      refused += 1
      if (refused === calls) open()
    },
  }
  const client = clientOf(phone, { runtime: fastRuntime(), timeout: 1_000_000, retries: 1 })
  const outcomes = await Promise.allSettled(Array.from({ length: calls }, () => client.user.get()))
  for (const outcome of outcomes) assert(outcome.status === 'rejected' && hasReason(outcome.reason, 'network'))
  assert.equal(phone.count(REFRESH), 2)
})

test('logins at the same time share one code', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await Promise.all([client.login(), client.login(), client.login()])
  assert.equal(phone.codes.length, 1)
})

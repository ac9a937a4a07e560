import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  type Client,
  createCanceller,
  hasReason,
  type PhoneOffer,
  type SubscribeMessageResult,
} from 'weapp-serverless-sdk'
import { Backend, clientOf, Fail, fastRuntime, newPhone, Phone, PICTURE } from './kit'

const AVATAR = '/api/v1/user/avatar'

let backend: Backend
before(async () => {
  backend = await Backend.start({ CONSENTS: 'privacy:3,terms:2' })
})
after(() => backend?.stop())

const reason = (wanted: Parameters<typeof hasReason>[1]) => (error: unknown) => hasReason(error, wanted)

async function signedIn(own = backend): Promise<{ phone: Phone; client: Client; id: string }> {
  const phone = newPhone(own)
  const client = clientOf(phone)
  const { user } = await client.login()
  return { phone, client, id: user.id }
}

/** What the phone number button gives. */
async function phoneCode({ user }: Phone): Promise<string> {
  return (await backend.control('phone-code', { user })).code || ''
}

test('a login says who it is, whether they are new, and what they have not agreed to', async () => {
  const { phone, client } = await signedIn()
  const { user, isNewUser, consentsMissing } = await client.login()
  assert.equal(isNewUser, false)
  assert.equal(user.nickname, null)
  assert.deepEqual(consentsMissing, [
    { document: 'privacy', version: 3 },
    { document: 'terms', version: 2 },
  ])
  assert.equal(phone.codes.length, 2)
})

test('tokens are no part of what a login returns', async () => {
  const result = await (await signedIn()).client.login()
  assert.deepEqual(Object.keys(result).sort(), ['consentsMissing', 'isNewUser', 'user'])
})

test('a profile is read, changed and cleared', async () => {
  const { client } = await signedIn()
  assert.equal((await client.user.update({ nickname: '小明', gender: 1 })).nickname, '小明')
  assert.equal((await client.user.get()).gender, 1)
  assert.equal((await client.user.update({ gender: null })).gender, null)
})

test('a number is bound, by a call of its own or with the login', async () => {
  const { client, phone } = await signedIn()
  const user = await client.phone.bind(await phoneCode(phone))
  assert.match(user?.phone || '', /^1\d{10}$/)
  assert.equal(await client.phone.bind(undefined), null, 'the user declined at the button')

  const other = newPhone(backend)
  const { phone: outcome, user: owner } = await clientOf(other).login({ phoneCode: await phoneCode(other) })
  assert.deepEqual(outcome, { status: 'bound' })
  assert(owner.phone)
})

test('a number of another account is resolved as the user wants', async () => {
  const number = '13900139000'
  const [older, newer] = [await signedIn(), await signedIn()]
  for (const { phone } of [older, newer]) await backend.control('users', { user: phone.user, phone: number }, 'PUT')
  await older.client.phone.bind(await phoneCode(older.phone))

  await assert.rejects(newer.client.phone.bind(await phoneCode(newer.phone)), reason('phone_taken'))
  assert.equal(await newer.client.phone.bind(await phoneCode(newer.phone), () => false), null)
  const asked: PhoneOffer['choice'][] = []
  const user = await newer.client.phone.bind(await phoneCode(newer.phone), async ({ choice }) => {
    asked.push(choice)
    return true
  })
  assert.deepEqual(asked, ['merge'])
  assert.equal(user?.id, older.id)
  // The tokens of the account that is left are in use: nobody had to log in.
  assert.equal((await newer.client.user.get()).id, older.id)
  assert.equal(newer.phone.codes.length, 1)
  await assert.rejects(newer.client.phone.resolve({ ticket: 'used', choice: 'merge' }), reason('ticket_invalid'))
})

test('a merge whose answer is lost is completed by the next call', async () => {
  const number = '13900139001'
  const [older, newer] = [await signedIn(), await signedIn()]
  for (const { phone } of [older, newer]) await backend.control('users', { user: phone.user, phone: number }, 'PUT')
  await older.client.phone.bind(await phoneCode(older.phone))
  newer.phone.interference.after = (sent) => {
    if (sent.path.endsWith('/resolve')) throw new Fail('request:fail ')
  }
  await assert.rejects(
    newer.client.phone.bind(await phoneCode(newer.phone), () => true),
    reason('network'),
  )
  assert.equal((await newer.client.user.get()).id, older.id)
})

test('a number of somebody who has not been here for long is taken', async () => {
  const number = '13900139002'
  const [older, newer] = [await signedIn(), await signedIn()]
  for (const { phone } of [older, newer]) await backend.control('users', { user: phone.user, phone: number }, 'PUT')
  await older.client.phone.bind(await phoneCode(older.phone))
  await backend.lastSeen(older.id, 100)

  const asked: PhoneOffer['choice'][] = []
  const user = await newer.client.phone.bind(await phoneCode(newer.phone), ({ choice }) => asked.push(choice) > 0)
  assert.deepEqual(asked, ['take'])
  assert.equal(user?.id, newer.id)
  assert.equal(user?.phone, number)
  // Both go on with the sessions that they have; the other account has no number any longer.
  assert.equal((await newer.client.user.get()).phone, number)
  const left = await older.client.user.get()
  assert.equal(left.id, older.id)
  assert.equal(left.phone, null)
  assert.deepEqual([newer.phone.codes.length, older.phone.codes.length], [1, 1])
})

test('a merge that goes on when it is answered is completed by the SDK’s login', async () => {
  const own = await Backend.start()
  try {
    const number = '13900139003'
    const [older, newer] = [await signedIn(own), await signedIn(own)]
    for (const { phone } of [older, newer]) await own.control('users', { user: phone.user, phone: number }, 'PUT')
    const code = async ({ user }: Phone) => (await own.control('phone-code', { user })).code || ''
    await older.client.phone.bind(await code(older.phone))
    const statuses: number[] = []
    const logins: number[] = []
    newer.phone.interference.after = async (sent, { statusCode }) => {
      if (sent.path.endsWith('/login')) logins.push(statusCode)
      if (!sent.path.endsWith('/resolve')) return
      statuses.push(statusCode)
      await own.restart({ REQUEST_TIMEOUT_MS: '8000' })
    }
    const user = await newer.client.phone.bind(await code(newer.phone), async () => {
      // A step of a merge is begun only with a second left: with less than one, it stops before the first.
      await own.restart({ REQUEST_TIMEOUT_MS: '950' })
      return true
    })
    assert.deepEqual(statuses, [202])
    assert.equal(user?.id, older.id)
    assert.equal(user?.phone, number)
    // The backend continues the merge by itself, too. A login that comes in the middle is refused, and sent again.
    assert.equal(logins.pop(), 200)
    assert.deepEqual(
      logins.filter((status) => status !== 503),
      [],
    )
    assert.equal(newer.phone.codes.length, 2 + logins.length)
    assert.equal((await newer.client.user.get()).id, older.id)
  } finally {
    await own.stop()
  }
})

test('encrypted data is opened, and got anew when its key is stale', async () => {
  const { client, phone } = await signedIn()
  let got = 0
  const steps = async () => {
    got += 1
    const data = await backend.control<{ encryptedData: string; iv: string }>('encrypted-data', {
      user: phone.user,
      kind: 'werun',
    })
    return { ...data, errMsg: 'getWeRunData:ok' }
  }
  const { stepInfoList } = await client.decrypt<{ stepInfoList: unknown[] }>(steps)
  assert.equal(stepInfoList.length, 31)
  assert.equal(got, 1)

  assert.equal(
    (await client.decrypt<{ stepInfoList: unknown[] }>(steps, { checkSession: true })).stepInfoList.length,
    31,
  )
  assert.equal(got, 2)

  // WeChat has changed the key twice since.
  await backend.control('session-key', { user: phone.user, action: 'rotate' })
  await backend.control('session-key', { user: phone.user, action: 'rotate' })
  assert.equal((await client.decrypt<{ stepInfoList: unknown[] }>(steps)).stepInfoList.length, 31)
  assert.equal(got, 4)
  assert.equal(phone.codes.length, 2)
})

test('what can’t be opened at all ends after one more try', async () => {
  const { client, phone } = await signedIn()
  const junk = () => ({ encryptedData: Buffer.alloc(64).toString('base64'), iv: Buffer.alloc(16).toString('base64') })
  await assert.rejects(client.decrypt(junk), reason('session_key_stale'))
  assert.equal(phone.codes.length, 2)
})

test('a message that the page encrypted is opened, and the key is reset', async () => {
  const { client, phone } = await signedIn()
  const text = '{"order":7}'
  const message = await backend.control<{ encryptedData: string; version: number }>('encrypted-message', {
    user: phone.user,
    text,
  })
  assert.deepEqual(await client.openMessage(message), { order: 7 })
  await client.resetSessionKey()
})

test('a code is a picture that pages can show', async () => {
  const { client } = await signedIn()
  const { contentType, data } = await client.codes.create({ scene: 'inviter=7', page: 'pages/index/index' })
  assert.equal(contentType, 'image/png')
  const picture = Buffer.from(data, 'base64')
  assert.equal(picture.toString('latin1', 1, 4), 'PNG')
  assert(picture.includes('"scene":"inviter=7"'))
  await assert.rejects(client.codes.create({ scene: '' }), reason('invalid_request'))
})

test('sessions are listed and ended', async () => {
  const { client, phone } = await signedIn()
  await client.login()
  const sessions = await client.sessions.list()
  assert.deepEqual(
    sessions.map(({ current }) => current),
    [true, false],
  )
  await client.sessions.end(sessions[1]?.id || '')
  assert.equal((await client.sessions.list()).length, 1)
  await client.logout({ all: true })
  assert.equal(phone.to('/api/v1/user/logout')[0]?.body, '{"all":true}')
})

test('consents are given, listed and withdrawn', async () => {
  const { client } = await signedIn()
  const { consentsMissing } = await client.consents.agree('privacy', 3)
  assert.deepEqual(consentsMissing, [{ document: 'terms', version: 2 }])
  const { consents, required, history } = await client.consents.list()
  assert.deepEqual(consents, { privacy: 3 })
  assert.equal(required.length, 2)
  assert.equal(history[0]?.document, 'privacy')
  const withdrawn = await client.consents.withdraw('privacy')
  assert(withdrawn.consent?.withdrawnAt)
  await assert.rejects(client.consents.agree('privacy/../terms', 1), reason('not_found'))
})

test('what the user agreed to receive is counted, an answer that got lost once', async () => {
  const { client, phone } = await signedIn()
  assert.deepEqual(await client.subscriptions.list(), [])
  assert.deepEqual(await client.subscriptions.record({ errMsg: 'requestSubscribeMessage:ok' }), [])
  const result = () => ({ T1: 'accept', T2: 'reject', errMsg: 'requestSubscribeMessage:ok' })
  const one = (remaining: number) => [{ templateId: 'T1', appId: 'wx0000000000000001', remaining }]
  assert.deepEqual(await client.subscriptions.record(result()), one(1))
  let isLost = false
  phone.interference.after = () => {
    if (isLost) return
    isLost = true
    throw new Fail('request:fail ')
  }
  assert.deepEqual(await client.subscriptions.record(result()), one(2))
  const sent = phone.to('/api/v1/user/subscriptions').map(({ body }) => body)
  assert.equal(sent.filter((body) => body?.includes('requestId')).length, 3)
  assert.equal(sent.at(-1), sent.at(-2))
  assert.deepEqual(await client.subscriptions.list(), one(2))
})

test('the same answer that is recorded again counts once', async () => {
  const { client } = await signedIn()
  const remaining = async (result: SubscribeMessageResult) => {
    const subscriptions = await client.subscriptions.record(result)
    return subscriptions.map(({ remaining }) => remaining)
  }
  const first = { T1: 'accept', errMsg: 'requestSubscribeMessage:ok' }
  assert.deepEqual(await remaining(first), [1])
  assert.deepEqual(await Promise.all([remaining(first), remaining(first)]), [[1], [1]])
  // What the user answered the next time looks the same.
  assert.deepEqual(await remaining({ ...first }), [2])
  assert.deepEqual(await remaining(first), [2])
})

test('an export has everything, and a deletion leaves nothing and nobody logged in', async () => {
  const { client, id, phone } = await signedIn()
  await client.user.update({ nickname: '小明' })
  const [page] = await client.account.export()
  assert.equal(page?.user?.id, id)
  assert.equal(page?.user?.nickname, '小明')

  assert.equal((await client.account.delete()).status, 'deleted')
  await assert.rejects(client.user.get(), reason('signed_out'))
  assert.equal(phone.codes.length, 1)
  const { user, isNewUser } = await client.login()
  assert.equal(isNewUser, true)
  assert.notEqual(user.id, id)
})

test('a deletion whose answer is lost is completed with the same token', async () => {
  const { client: signed, phone } = await signedIn()
  await signed.user.get()
  const client = clientOf(phone, { runtime: fastRuntime(), timeout: 1_000_000 })
  let lost = 0
  phone.interference.after = (sent) => {
    if (sent.method === 'DELETE' && lost === 0) {
      lost += 1
      throw new Fail('request:fail ')
    }
  }
  assert.equal((await client.account.delete()).status, 'deleted')
  const [first, second] = phone.to('/api/v1/user')
  assert.equal(first?.headers.Authorization, second?.headers.Authorization)
  assert.equal(phone.codes.length, 1)
})

test('an account is deleted although its session was ended from another device', async () => {
  const { client, phone, id } = await signedIn()
  const other = clientOf(new Phone(backend, phone.user))
  await other.login()
  await other.logout({ all: true })
  assert.equal((await client.account.delete()).status, 'deleted')
  const { user, isNewUser } = await client.login()
  assert.equal(isNewUser, true)
  assert.notEqual(user.id, id)
})

test('an account in its cooling-off time is called back by a login', async () => {
  const cooling = await Backend.start({ DELETION_COOLING_DAYS: '7' })
  try {
    const { client, id } = await signedIn(cooling)
    const deletion = await client.account.delete()
    assert.equal(deletion.status, 'barred')
    assert(deletion.until)
    await assert.rejects(client.login(), (error) => {
      assert(hasReason(error, 'account_deletion_pending'))
      assert.equal(error.data?.until, deletion.until)
      return true
    })
    assert.equal((await client.login({ cancelDeletion: true })).user.id, id)
  } finally {
    await cooling.stop()
  }
})

test('remote configuration is read without a login and kept as long as the backend allows', async () => {
  const { client: admin, id } = await signedIn()
  backend.command('admin', id)
  await admin.request('PUT', '/api/v1/config/home.banner', { body: { value: { title: '小程序上线啦' } } })

  const phone = newPhone(backend)
  const client = clientOf(phone)
  for (let call = 0; call < 3; call += 1) {
    assert.deepEqual(await client.config.get('home.banner'), { title: '小程序上线啦' })
  }
  assert.equal(await client.config.get('home.nothing'), undefined)
  assert.equal(phone.sent.length, 2)
  assert.equal(phone.codes.length, 0)
})

test('calls for the same value at the same time share one request, and one of them can be cancelled', async () => {
  const { client: admin, id } = await signedIn()
  backend.command('admin', id)
  await admin.request('PUT', '/api/v1/config/shared', { body: { value: 1 } })
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const { signal, cancel } = createCanceller()
  const cancelled = client.config.get('shared', { signal })
  const others = Array.from({ length: 20 }, () => client.config.get('shared'))
  cancel()
  await assert.rejects(cancelled, reason('cancelled'))
  assert.deepEqual(await Promise.all(others), Array(20).fill(1))
  assert.equal(phone.sent.length, 1)
  // What failed is asked for again.
  phone.isOffline = true
  const failed = await Promise.allSettled([client.config.get('other'), client.config.get('other')])
  for (const outcome of failed) assert(outcome.status === 'rejected' && hasReason(outcome.reason, 'offline'))
  phone.isOffline = false
  assert.equal(await client.config.get('other'), undefined)
  await assert.rejects(client.config.get('third', { signal }), reason('cancelled'))
  assert.equal(phone.to('/api/v1/config/third').length, 0)
})

test('remote configuration that is outdated serves while the backend is not reached', async () => {
  const { client: admin, id } = await signedIn()
  backend.command('admin', id)
  await admin.request('PUT', '/api/v1/config/flag', { body: { value: true } })
  const phone = newPhone(backend)
  let monotonic = 0
  const client = clientOf(phone, { runtime: { ...fastRuntime(), monotonic: () => monotonic }, timeout: 1_000_000 })
  assert.equal(await client.config.get('flag'), true)
  monotonic += 3_600_000
  phone.isOffline = true
  assert.equal(await client.config.get('flag'), true)
  assert.equal(phone.sent.length, 2)
  // A clock that went back does not keep it for hours, either.
  phone.isOffline = false
  monotonic -= 7_200_000
  assert.equal(await client.config.get('flag'), true)
  assert.equal(phone.sent.length, 3)
})

test('a chosen picture becomes the avatar', async () => {
  const { client } = await signedIn()
  const picture = await client.avatar.choose('http://tmp/picture.png')
  assert.deepEqual(picture, { filePath: 'http://tmp/picture.png', contentType: 'image/png', size: PICTURE.length })
  const { status, user } = await client.avatar.upload(picture)
  assert.equal(status, 'published')
  const shown = await fetch(user.avatarUrl || '')
  assert.deepEqual(Buffer.from(await shown.arrayBuffer()), PICTURE)
  assert.equal(await client.avatar.pending(), null)
})

test('a form that the store refuses is replaced once', async () => {
  const { client, phone } = await signedIn()
  let refusals = 1
  phone.interference.before = (sent) => {
    if (!sent.path.startsWith('/_objects')) return undefined
    refusals -= 1
    return refusals >= 0 ? { statusCode: 403, data: '<Error/>', header: {} } : undefined
  }
  await client.avatar.upload('http://tmp/picture.png')
  assert.equal(phone.to(AVATAR).filter(({ method }) => method === 'POST').length, 2)
  refusals = 2
  await assert.rejects(client.avatar.upload('http://tmp/picture.png'), reason('upload_failed'))
})

test('what is no picture is refused', async () => {
  const { client, phone } = await signedIn()
  phone.files.set('http://tmp/text.png', Buffer.from('no picture at all'))
  await assert.rejects(client.avatar.upload('http://tmp/text.png'), reason('upload_invalid'))
})

test('a picture that WeChat checks is asked about on the next visit', async () => {
  const checking = await Backend.start({ CONTENT_CHECK: 'on' })
  try {
    const { client, phone } = await signedIn(checking)
    phone.files.set('http://tmp/risky.png', Buffer.concat([PICTURE, Buffer.from('risky')]))
    const { status } = await client.avatar.upload('http://tmp/picture.png')
    assert.equal(status, 'checking')
    // The next visit, after a restart. The verdict is pushed by the simulator: some moments later, so it is asked for.
    let outcome = await clientOf(phone).avatar.pending()
    for (let turn = 0; turn < 1_000 && outcome?.status === 'checking'; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      outcome = await clientOf(phone).avatar.pending()
    }
    assert.equal(outcome?.status, 'published')
    assert(outcome.user.avatarUrl)
    assert.equal(await clientOf(phone).avatar.pending(), null, 'it is told once')
  } finally {
    await checking.stop()
  }
})

test('a picture that is chosen while an older one is asked about is remembered', async () => {
  const { client, phone } = await signedIn()
  const key = 'weapp-session.avatar'
  for (const [code, content] of [
    [200, { data: { status: 'published', user: {} } }],
    [400, { reason: 'content_risky' }],
    [404, { reason: 'not_found' }],
  ] as const) {
    phone.stored.set(key, 'older')
    phone.interference.before = ({ path }) => {
      if (path !== '/api/v1/user/avatar') return undefined
      phone.stored.set(key, 'newer')
      return { statusCode: code, data: JSON.stringify({ code, ...content }), header: {} }
    }
    await client.avatar.pending().catch(() => undefined)
    assert.equal(phone.stored.get(key), 'newer')
  }
})

test('a user who was disabled is told so, after one login', async () => {
  const { client, id, phone } = await signedIn()
  const { client: admin, id: adminId } = await signedIn()
  backend.command('admin', adminId)
  const { version } = await admin.request<{ version: number }>('GET', `/api/v1/users/${id}`)
  await admin.request('PUT', `/api/v1/users/${id}`, { body: { status: 'disabled', version } })
  await assert.rejects(client.user.get(), (error) => {
    assert(hasReason(error, 'user_disabled'))
    assert.equal(error.userMessage, '账号已停用，请联系客服')
    return true
  })
  assert.equal(phone.codes.length, 2)
})

test('any endpoint can be called', async () => {
  const { client } = await signedIn()
  const health = await client.request<{ status: string }>('GET', '/health', { isPublic: true })
  assert.equal(health.status, 'ok')
  await assert.rejects(client.request('GET', '/api/v1/nothing'), reason('not_found'))
  await assert.rejects(client.request('GET', '/api/v1/users'), reason('forbidden'))
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Client, hasReason, isWeappError } from 'weapp-serverless-sdk'
import { type AdminApi, adminApi } from 'weapp-serverless-sdk/admin'
import { Backend, clientOf, Fail, fastRuntime, newPhone, type Phone } from './kit'

const NOBODY = '01a20939-2967-7d17-98c2-7448ee036be2'
const APP_ID = 'wx0000000000000001'

let backend: Backend
let admin: AdminApi
let adminId: string
before(async () => {
  backend = await Backend.start()
  const client = clientOf(newPhone(backend))
  adminId = (await client.user.get()).id
  backend.command('admin', adminId)
  admin = adminApi(client)
})
after(() => backend?.stop())

const reason = (wanted: Parameters<typeof hasReason>[1]) => (error: unknown) => hasReason(error, wanted)

async function person(own = backend): Promise<{ phone: Phone; client: Client; id: string }> {
  const phone = newPhone(own)
  const client = clientOf(phone)
  return { phone, client, id: (await client.user.get()).id }
}

/** An administrator whose requests can be interfered with. */
async function administrator(): Promise<{ phone: Phone; api: AdminApi; id: string }> {
  const phone = newPhone(backend)
  const client = clientOf(phone, { runtime: fastRuntime(), timeout: 1_000_000 })
  const { id } = await client.user.get()
  backend.command('admin', id)
  phone.sent.length = 0
  return { phone, api: adminApi(client), id }
}

/** Loses the answer to the first request of this method. */
function loseAnswer(phone: Phone, method: string): void {
  let isFirst = true
  phone.interference.after = (sent) => {
    if (!isFirst || sent.method !== method) return
    isFirst = false
    throw new Fail('request:fail ')
  }
}

test('a message is ordered once, also after an answer that got lost, and is listed', async () => {
  // Nothing takes it from the table within this test.
  const own = await Backend.start({ USER_MESSAGES: 'on', MESSAGE_QUEUE_URL: 'http://127.0.0.1:1/0/messages' })
  try {
    const { phone, client, id } = await person(own)
    own.command('admin', id)
    const api = adminApi(client)
    loseAnswer(phone, 'POST')
    const order = {
      idempotencyKey: 'order-0001',
      userId: id,
      type: 'subscribe' as const,
      templateId: 'T1',
      data: { thing1: 'x' },
    }
    const { messageId, status } = await api.messages.send(order)
    assert.equal(status, 'queued')
    assert.equal((await api.messages.send(order)).messageId, messageId)
    const other = { ...order, data: { thing1: 'y' } }
    await assert.rejects(api.messages.send(other), reason('idempotency_key_reused'))
    const { messages, cursor } = await api.messages.list(id)
    assert.deepEqual([messages.map((message) => message.messageId), cursor], [[messageId], null])
    assert.equal((await api.messages.get(id, messageId)).templateId, 'T1')
    await assert.rejects(api.messages.get(id, '0'.repeat(32)), reason('not_found'))
  } finally {
    await own.stop()
  }
})

test('everybody else is refused', async () => {
  const { client } = await person()
  const api = adminApi(client)
  for (const call of [
    () => api.users.list(),
    () => api.users.search('13800138000'),
    () => api.users.get(adminId),
    () => api.users.update(adminId, { nickname: null, version: 1 }),
    () => api.users.delete(adminId),
    () => api.users.batchDelete([adminId]),
    () => api.users.endSessions(adminId),
    () => api.users.moveIn({ identities: [{ appId: APP_ID, openId: 'o1' }] }),
    () => api.sagas.list(),
    () => api.sagas.resume('8ec7bbdb9e68689d6a0779458142f841'),
    () => api.users.activity(adminId),
    () => api.messages.list(adminId),
    () => api.webhooks.failures(),
    () => api.webhooks.redeliver('8ec7bbdb9e68689d6a0779458142f841'),
    () => api.links.create(),
    () => api.config.list(),
    () => api.config.set('flag', true),
    () => api.config.delete('flag'),
  ]) {
    await assert.rejects(call, reason('forbidden'), String(call))
  }
})

test('the users are listed to the end, page by page', async () => {
  const people = [await person(), await person(), await person()]
  const found: string[] = []
  let cursor: string | null | undefined
  do {
    const page = await admin.users.list({ limit: 2, status: 'active', appId: APP_ID, cursor })
    assert(page.users.length <= 2)
    found.push(...page.users.map(({ id }) => id))
    cursor = page.cursor
  } while (cursor)
  for (const { id } of people) assert.equal(found.filter((other) => other === id).length, 1)
  assert.deepEqual((await admin.users.list({ status: 'disabled' })).users, [])
  await assert.rejects(admin.users.list({ limit: 0 }), reason('invalid_request'))
})

test('a link is made once for the same request', async () => {
  const link = await admin.links.create({ path: 'pages/order/order', query: 'id=7', expireDays: 7 })
  assert.match(link.url, /^https:\/\//)
  const days = (Date.parse(link.expiresAt) - Date.now()) / 86_400_000
  assert(days > 6.9 && days <= 7.1, link.expiresAt)
  assert.deepEqual(await admin.links.create({ path: 'pages/order/order', query: 'id=7', expireDays: 7 }), link)
  assert.notEqual((await admin.links.create()).url, link.url)
  await assert.rejects(admin.links.create({ expireDays: 31 }), reason('invalid_request'))
})

test('a user is found by the number, and shown whole', async () => {
  const { phone, client, id } = await person()
  await backend.control('users', { user: phone.user, phone: '13700137000' }, 'PUT')
  const { code } = await backend.control('phone-code', { user: phone.user })
  await client.phone.bind(code)
  const [found, ...others] = await admin.users.search('13700137000')
  assert.equal(found?.id, id)
  assert.equal(found?.phone, '137****7000')
  assert.deepEqual(others, [])
  assert.deepEqual(await admin.users.search('13700137001'), [])

  const { phone: number, sessions, identities, sagas } = await admin.users.get(id)
  assert.deepEqual([number, sessions, identities, sagas], ['13700137000', 1, [{ appId: APP_ID }], []])
  await assert.rejects(admin.users.get(NOBODY), reason('not_found'))
  await assert.rejects(admin.users.get('../users'), (error) => isWeappError(error) && error.kind === 'api')
})

test('a user is changed, if nobody else has changed them', async () => {
  const { client, id } = await person()
  const { version } = await admin.users.get(id)
  const changed = await admin.users.update(id, { nickname: '改名', version })
  assert.equal(changed.nickname, '改名')
  await assert.rejects(admin.users.update(id, { nickname: '再改', version }), reason('conflict'))
  await admin.users.update(id, { status: 'disabled', version: changed.version })
  await assert.rejects(client.user.get(), reason('user_disabled'))
  const own = await admin.users.get(adminId)
  await assert.rejects(admin.users.update(adminId, { role: 'user', version: own.version }), (error) => {
    assert(hasReason(error, 'own_rights'))
    // No page should lead here: the backend's own sentence is shown.
    assert.match(error.userMessage, /管理员/)
    return true
  })
})

test('a change whose answer is lost is made once', async () => {
  const { id } = await person()
  const { api, phone } = await administrator()
  loseAnswer(phone, 'PUT')
  const { version } = await api.users.get(id)
  const changed = await api.users.update(id, { nickname: '一次', version })
  assert.equal(changed.version, version + 1)
  assert.equal(phone.sent.filter(({ method }) => method === 'PUT').length, 2)
})

test('the sessions of a user are ended', async () => {
  const { client, phone, id } = await person()
  await admin.users.endSessions(id)
  assert.equal((await admin.users.get(id)).sessions, 0)
  assert.equal((await client.user.get()).id, id)
  assert.equal(phone.codes.length, 2)
})

test('accounts are deleted, one or many, and each is told of', async () => {
  const [one, other, third] = [await person(), await person(), await person()]
  const { status, saga } = await admin.users.delete(one.id)
  assert.equal(status, 'deleted')
  assert.match(saga, /^[0-9a-f]{32}$/)
  await assert.rejects(admin.users.get(one.id), reason('not_found'))
  await assert.rejects(admin.users.delete(adminId), reason('own_rights'))

  const { api, phone, id: ownId } = await administrator()
  loseAnswer(phone, 'POST')
  const outcomes = await api.users.batchDelete([other.id, third.id, NOBODY, ownId])
  assert.deepEqual(
    [other.id, third.id, NOBODY, ownId].map((id) => {
      const outcome = outcomes.find((each) => each.id === id)
      return outcome?.status || outcome?.reason
    }),
    ['deleted', 'deleted', 'not_found', 'own_rights'],
  )
  assert.equal(phone.count('/api/v1/users/batch-delete'), 2)
  for (const { id } of [other, third]) await assert.rejects(admin.users.get(id), reason('not_found'))
})

test('a person is moved in, and logs in as that user', async () => {
  // Somebody whose openid is known, and whom this backend does not know: they were here before.
  const { client, phone } = await person()
  const [exported] = await client.account.export()
  const openId = exported?.identities[0]?.openId || ''
  await client.account.delete()
  const moved = { nickname: '搬来的', identities: [{ appId: APP_ID, openId }] }
  const { id, nickname } = await admin.users.moveIn(moved)
  assert.equal(nickname, '搬来的')
  await assert.rejects(admin.users.moveIn(moved), (error) => {
    assert(hasReason(error, 'user_exists'))
    assert.deepEqual(error.data?.conflicts, [{ field: 'identities[0]', userId: id }])
    return true
  })
  const { user, isNewUser } = await clientOf(phone).login()
  assert.equal(user.id, id)
  assert.equal(isNewUser, false)
})

test('a deletion that waits is listed and resumed', async () => {
  const cooling = await Backend.start({ DELETION_COOLING_DAYS: '7' })
  try {
    const { client: boss, id } = await person(cooling)
    cooling.command('admin', id)
    const { client } = await person(cooling)
    const { saga } = await client.account.delete()
    const api = adminApi(boss)
    const [entry, ...others] = await api.sagas.list()
    assert.deepEqual(others, [])
    assert.equal(entry?.id, saga)
    assert.equal(entry?.kind, 'account-deletion')
    assert.equal(entry?.failed, false)
    const resumed = await api.sagas.resume(saga)
    assert.equal(resumed.status, 'waiting')
    assert(resumed.until)
    await assert.rejects(api.sagas.resume('0'.repeat(32)), reason('not_found'))
  } finally {
    await cooling.stop()
  }
})

test('configuration is written, listed and deleted, each for the version that was seen', async () => {
  const first = await admin.config.set('pages.home', { title: '首页' })
  assert.deepEqual(first.value, { title: '首页' })
  await assert.rejects(admin.config.set('pages.home', null), reason('conflict'))
  const second = await admin.config.set('pages.home', null, first.version)
  assert.equal(second.version, first.version + 1)
  await assert.rejects(admin.config.set('pages.home', 1, first.version), reason('conflict'))
  assert.equal((await admin.config.get('pages.home')).version, second.version)
  await admin.config.set('pages.more', [1, 2])

  const keys: string[] = []
  let cursor: string | null | undefined
  do {
    const page = await admin.config.list({ limit: 1, cursor })
    keys.push(...page.values.map(({ key }) => key))
    cursor = page.cursor
  } while (cursor)
  assert.deepEqual(
    keys.filter((key) => key.startsWith('pages.')),
    ['pages.home', 'pages.more'],
  )

  await assert.rejects(admin.config.delete('pages.home', first.version), reason('conflict'))
  await admin.config.delete('pages.home', second.version)
  await admin.config.delete('pages.more')
  await assert.rejects(admin.config.get('pages.home'), reason('not_found'))
  await assert.rejects(admin.config.delete('pages.more'), reason('not_found'))
})

test('a value whose answer is lost is not written twice', async () => {
  const { api, phone } = await administrator()
  loseAnswer(phone, 'PUT')
  await assert.rejects(api.config.set('lost', 1), reason('network'))
  assert.equal(phone.sent.filter(({ method }) => method === 'PUT').length, 1)
  const { value, version } = await api.config.get('lost')
  assert.deepEqual([value, version], [1, 1])
})

test('anybody may ask how the backend is', async () => {
  const phone = newPhone(backend)
  const { health } = adminApi(clientOf(phone))
  const shallow = await health()
  assert.equal(shallow.status, 'ok')
  assert.equal(shallow.parts, undefined)
  const deep = await health({ deep: true })
  assert(deep.parts?.some(({ name, status }) => name === 'dynamodb' && status === 'ok'))
  assert.equal(phone.codes.length, 0)
})

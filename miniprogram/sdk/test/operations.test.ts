/** Every operation of docs/openapi.json has a method, and every method is one that this test knows. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { isWeappError } from 'weapp-serverless-sdk'
import { adminApi } from 'weapp-serverless-sdk/admin'
import { description } from '../scripts/generate.mjs'
import { Backend, clientOf, newPhone, type Sent } from './kit'

const ID = '01a20939-2967-7d17-98c2-7448ee036be2'
const SAGA = '8ec7bbdb9e68689d6a0779458142f841'
const PICTURE = 'http://tmp/picture.png'
const ENCRYPTED = { encryptedData: 'AAAA', iv: 'AAAA' }

/** The method that sends an operation's request, and what it is given. */
const METHODS: { [operation: string]: [method: string, ...given: unknown[]] } = {
  agree: ['consents.agree', 'privacy', 1],
  beginAvatar: ['avatar.upload', PICTURE],
  bindPhone: ['phone.bind', 'a-code'],
  changeUser: ['admin.users.update', ID, { status: 'disabled', version: 1 }],
  confirmAvatar: ['avatar.upload', PICTURE],
  createCode: ['codes.create', { scene: 'a', page: 'pages/index/index' }],
  createUrlLink: ['admin.links.create', { path: 'pages/order/order', query: 'id=7' }],
  decrypt: ['decrypt', () => ENCRYPTED],
  deleteAccount: ['account.delete'],
  deleteConfig: ['admin.config.delete', 'home.banner', 1],
  deleteUser: ['admin.users.delete', ID],
  deleteUsers: ['admin.users.batchDelete', [ID]],
  endSession: ['sessions.end', ID],
  endUserSessions: ['admin.users.endSessions', ID],
  exportAccount: ['account.export'],
  getConfig: ['config.get', 'home.banner'],
  getHealth: ['admin.health', { deep: true }],
  getProfile: ['user.get'],
  getUser: ['admin.users.get', ID],
  getUserMessage: ['admin.messages.get', ID, SAGA],
  listActivity: ['activity.list', { limit: 10, cursor: 'a&b' }],
  listConfig: ['admin.config.list', { limit: 10, cursor: 'home.banner' }],
  listConsents: ['consents.list'],
  listSagas: ['admin.sagas.list'],
  listSessions: ['sessions.list'],
  listSubscriptions: ['subscriptions.list'],
  listUserActivity: ['admin.users.activity', ID, { limit: 10, cursor: 'a&b' }],
  listUserMessages: ['admin.messages.list', ID, { limit: 10, cursor: 'a&b' }],
  listUsers: ['admin.users.list', { status: 'active', appId: 'wx1', limit: 10, cursor: 'a&b' }],
  listWebhookFailures: ['admin.webhooks.failures', { receiver: 'crm', limit: 10, cursor: 'a&b' }],
  login: ['login'],
  logout: ['logout', { all: true }],
  moveUserIn: ['admin.users.moveIn', { identities: [{ appId: 'wx1', openId: 'o1' }] }],
  openMessage: ['openMessage', { encryptedData: 'AAAA', version: 1 }],
  putConfig: ['admin.config.set', 'home.banner', { isShown: true }, 1],
  putProfile: ['user.update', { nickname: '小明' }],
  recordSubscriptions: ['subscriptions.record', { T1: 'accept', errMsg: 'requestSubscribeMessage:ok' }],
  redeliverWebhook: ['admin.webhooks.redeliver', SAGA],
  resetSessionKey: ['resetSessionKey'],
  resolvePhone: ['phone.resolve', { ticket: 'a-ticket', choice: 'take' }],
  resumeSaga: ['admin.sagas.resume', SAGA],
  searchUsers: ['admin.users.search', '13800138000'],
  sendMessage: [
    'admin.messages.send',
    { idempotencyKey: 'order-0001', userId: ID, type: 'subscribe', templateId: 'T1', data: { thing1: 'x' } },
  ],
  withdrawConsent: ['consents.withdraw', 'privacy'],
}

/** Operations without a method of their own. */
const WITHOUT: { [operation: string]: string } = {
  getKeySet: 'for other servers that verify access tokens',
  getTransportKey: 'fetched by itself for sealed bodies',
  receivePush: 'WeChat calls it',
  refresh: 'done by itself when a token expires',
  updateProfile: 'putProfile does the same, and wx.request has no PATCH',
  verifyCallback: 'WeChat calls it',
}

/** Methods that are not a request of their own, or a second way to one. */
const OTHERS = ['admin.config.get', 'avatar.choose', 'avatar.pending', 'isSignedOut', 'request']

interface Operation {
  operationId: string
  parameters?: { in: string; name: string }[]
}

interface Documented {
  method: string
  path: string
  operation: Operation
}

function documented(): Documented[] {
  const { paths } = JSON.parse(readFileSync(description, 'utf8'))
  return Object.entries<Record<string, Operation>>(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

/** The operation that a request is one of: of several paths the one with the fewest parameters. */
function operationOf({ method, path }: Sent, operations: Documented[]): Operation | undefined {
  const segments = (path.split('?')[0] || '').split('/')
  const fits = (template: string) => {
    const parts = template.split('/')
    return parts.length === segments.length && parts.every((part, at) => /^\{/.test(part) || part === segments[at])
  }
  const fitting = operations.filter((known) => known.method === method && fits(known.path))
  fitting.sort((a, b) => a.path.split('{').length - b.path.split('{').length)
  return fitting[0]?.operation
}

const queryNames = ({ path }: Sent) => [...new URL(path, 'http://backend').searchParams.keys()].sort()

/** `users.list`, for all functions of a client. */
function methodsOf(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, part]) => {
    if (typeof part === 'function') return [prefix + name]
    return typeof part === 'object' && part !== null ? methodsOf(part, `${prefix}${name}.`) : []
  })
}

function call(target: object, method: string, given: unknown[]): Promise<unknown> {
  const parts = method.split('.')
  const name = parts.pop() || ''
  const owner = parts.reduce<object>((within, part) => Reflect.get(within, part), target)
  return Reflect.get(owner, name).apply(owner, given)
}

const skip = existsSync(description) ? false : 'there is no docs/openapi.json'

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

test('every operation of docs/openapi.json has a method, or a reason for none', { skip }, () => {
  const known = documented().map(({ operation }) => operation.operationId)
  assert.deepEqual([...Object.keys(METHODS), ...Object.keys(WITHOUT)].sort(), known.sort())
})

test('every method is compared with an operation', () => {
  const client = clientOf(newPhone(backend))
  const compared = new Set(Object.values(METHODS).map(([method]) => method))
  assert.deepEqual([...compared, ...OTHERS].sort(), methodsOf({ ...client, admin: adminApi(client) }).sort())
})

test('each method sends the request of its operation, as the backend’s router knows it', { skip }, async () => {
  const operations = documented()
  for (const [operationId, [method, ...given]] of Object.entries(METHODS)) {
    const phone = newPhone(backend)
    const client = clientOf(phone, { retries: 0 })
    // What is sent counts; most of it is refused, because nothing of it exists.
    const failure = await call({ ...client, admin: adminApi(client) }, method, given).then(
      () => undefined,
      (error) => error,
    )
    if (failure) assert(isWeappError(failure), `${method}: ${failure}`)
    assert.notEqual(failure?.reason, 'method_not_allowed', method)
    if (operationId === 'logout') assert.equal(phone.sent.length, 0, 'there is nothing to log out of')
    if (operationId === 'logout') {
      await client.login()
      await client.logout({ all: true })
    }
    const sent = phone.sent.find((request) => operationOf(request, operations)?.operationId === operationId)
    assert(sent, `${method} sent ${phone.sent.map((request) => `${request.method} ${request.path}`)}`)
    const { parameters = [] } = operationOf(sent, operations) || {}
    const names = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)
    // All that the description has: a new one has to be given as well.
    if (operationId !== 'exportAccount') assert.deepEqual(queryNames(sent), names.sort(), method)
  }
})

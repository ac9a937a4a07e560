/** What is under way when the user logs out: nothing of it logs them in again. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { hasReason } from 'weapp-serverless-sdk'
import { Backend, clientOf, gate, newPhone, type Phone, stored, type WxAnswer } from './kit'

const LOGIN = '/api/v1/user/login'
const LOGOUT = '/api/v1/user/logout'
const signedOut = (error: unknown) => hasReason(error, 'signed_out')

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

const enveloped = (code: number, content: object): WxAnswer => ({
  statusCode: code,
  data: JSON.stringify({ code, ...content }),
  header: {},
})

/** Holds a path's answer back, and gives this one in its place once it is let through. */
function heldBack(phone: Phone, path: string, answer: WxAnswer) {
  const [asked, held] = [gate(), gate()]
  phone.interference.before = async (sent) => {
    if (sent.path !== path) return undefined
    asked.open()
    await held.passed
    return answer
  }
  return { asked: asked.passed, open: held.open }
}

test('a login after a logout counts, though one before it is still under way', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const [asked, held] = [gate(), gate()]
  phone.interference.after = async (sent) => {
    if (sent.path !== LOGIN) return
    asked.open()
    await held.passed
  }
  const first = client.login()
  await asked.passed
  const logout = client.logout()
  const second = client.login()
  held.open()
  await Promise.all([first, logout, second])
  assert.equal(await client.isSignedOut(), false)
  assert((await client.user.get()).id)
})

test('tokens that arrive after a logout are not kept', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  const user = await client.user.get()
  const tokens = { token: 'late', refreshToken: 'late', expiresIn: 7200 }
  const resolve = heldBack(phone, '/api/v1/user/phone/resolve', enveloped(200, { data: { ...tokens, user } }))
  const resolved = client.phone.resolve({ ticket: 'a-ticket', choice: 'merge' })
  await resolve.asked
  await client.logout()
  resolve.open()
  await assert.rejects(resolved, signedOut)
  assert.equal(stored(phone).state, 'out')
})

test('what wants a new login does not get one after a logout', async () => {
  for (const [path, answer, call] of [
    [
      '/api/v1/user/decrypt',
      enveloped(409, { reason: 'session_key_stale' }),
      (client: ReturnType<typeof clientOf>) => client.decrypt(() => ({ encryptedData: 'a', iv: 'b' })),
    ],
    [
      '/api/v1/user/phone/resolve',
      enveloped(202, { data: { status: 'merging' } }),
      (client: ReturnType<typeof clientOf>) => client.phone.resolve({ ticket: 'a-ticket', choice: 'merge' }),
    ],
  ] as const) {
    const phone = newPhone(backend)
    const client = clientOf(phone)
    await client.user.get()
    const { asked, open } = heldBack(phone, path, answer)
    const outcome = assert.rejects(call(client), signedOut)
    await asked
    await client.logout()
    open()
    await outcome
    assert.equal(phone.codes.length, 1)
    assert.equal(await client.isSignedOut(), true)
  }
})

test('a logout that something on the way answers has not told the backend', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  phone.interference.before = (sent) =>
    sent.path === LOGOUT ? { statusCode: 401, data: '<html>', header: {} } : undefined
  await assert.rejects(client.logout(), (error) => hasReason(error, 'bad_response'))
})

test('a deletion that something on the way answers is no reason to log in', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone)
  await client.user.get()
  phone.interference.before = (sent) =>
    sent.method === 'DELETE' ? { statusCode: 401, data: '<html>', header: {} } : undefined
  await assert.rejects(client.account.delete(), (error) => hasReason(error, 'bad_response'))
  assert.equal(phone.codes.length, 1)
})

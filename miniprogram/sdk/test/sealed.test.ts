import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, generateKeyPairSync, privateDecrypt, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { hasReason } from 'weapp-serverless-sdk'
import * as sealed from 'weapp-serverless-sdk/sealed'
import { Backend, clientOf, newPhone, skewedRuntime, type WxAnswer } from './kit'

const KEY = '/api/v1/crypto/key'
const INFO = '/api/v1/user/info'
const load = () => sealed

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

test('bodies are sealed in both directions, the login’s too', async () => {
  const phone = newPhone(backend)
  const answers: WxAnswer[] = []
  phone.interference.after = (sent, answer) => {
    if (sent.method !== 'GET') answers.push(answer)
  }
  const client = clientOf(phone, { sealed: { load } })
  assert.equal((await client.user.update({ nickname: '密封🔒' })).nickname, '密封🔒')
  await assert.rejects(client.user.update({ nickname: '' }), (error) => hasReason(error, 'invalid_request'))
  assert.equal(phone.count(KEY), 1, 'the key is cached')
  const bodies = phone.sent.filter(({ body }) => body !== undefined)
  assert.equal(bodies.length, 3)
  for (const { headers, body = '' } of bodies) {
    assert.equal(headers['Content-Type'], 'application/jose')
    assert.equal(body.split('.').length, 5)
  }
  for (const { header } of answers) assert.equal(header['Content-Type'], 'application/jose')
})

test('only what is wanted is sealed, and the module loads with it', async () => {
  const phone = newPhone(backend)
  let loaded = 0
  const client = clientOf(phone, {
    sealed: {
      load: async () => {
        loaded += 1
        return sealed
      },
      when: (_method, path) => path === '/api/v1/user/phone',
    },
  })
  await client.user.update({ nickname: '小明' })
  assert.equal(loaded, 0)
  assert.equal(phone.count(KEY), 0)
  const { code } = await backend.control('phone-code', { user: phone.user })
  assert((await client.phone.bind(code))?.phone)
  assert.equal(loaded, 1)
  await client.request('PUT', INFO, { body: { nickname: '小红' }, sealed: true })
  assert.equal(phone.to(INFO)[1]?.headers['Content-Type'], 'application/jose')
})

test('calls at the same time share the key’s request, also after a rotation', async () => {
  const own = await Backend.start()
  try {
    const phone = newPhone(own)
    const client = clientOf(phone, { sealed: { load } })
    await client.login()
    for (const fetched of [1, 2]) {
      const changes = Array.from({ length: 10 }, () => client.user.update({ nickname: '一起' }))
      await Promise.all(changes)
      assert.equal(phone.count(KEY), fetched)
      if (fetched === 1) await own.restart()
    }
  } finally {
    await own.stop()
  }
})

test('a rotated key is fetched again', async () => {
  const own = await Backend.start()
  try {
    const phone = newPhone(own)
    const client = clientOf(phone, { sealed: { load } })
    await client.user.update({ nickname: '小明' })
    // It makes itself another key at each start.
    await own.restart()
    assert.equal((await client.user.update({ nickname: '小红' })).nickname, '小红')
    assert.equal(phone.count(KEY), 2)
  } finally {
    await own.stop()
  }
})

test('a phone whose clock is wrong by hours seals by the backend’s', async () => {
  for (const hours of [-9, 9]) {
    const phone = newPhone(backend)
    const skew = { ms: hours * 3_600_000 }
    const client = clientOf(phone, { sealed: { load }, runtime: skewedRuntime(skew) })
    assert.equal((await client.user.update({ nickname: '小明' })).nickname, '小明')
    assert.equal(phone.count(INFO), 1)
    // Set right meanwhile: one body is refused, and its answer tells the time.
    skew.ms = 0
    assert.equal((await client.user.update({ nickname: '小红' })).nickname, '小红')
    assert.equal(phone.count(INFO), 3)
  }
})

test('an answer that was changed, or is not sealed, is refused', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone, { sealed: { load }, retries: 0 })
  await client.user.update({ nickname: '小明' })
  for (const change of [
    (answer: WxAnswer) => {
      const parts = String(answer.data).split('.')
      answer.data = [...parts.slice(0, 4), Buffer.alloc(16).toString('base64url')].join('.')
    },
    (answer: WxAnswer) => {
      answer.header['Content-Type'] = 'application/json'
      answer.data = '{"code":200,"data":{"nickname":"小明"}}'
    },
    (answer: WxAnswer) => {
      answer.data = 'x'
    },
  ]) {
    phone.interference.after = (_sent, answer) => change(answer)
    await assert.rejects(client.user.update({ nickname: '小红' }), (error) => hasReason(error, 'bad_response'))
  }
})

test('the answer to another message is refused', async () => {
  const phone = newPhone(backend)
  const client = clientOf(phone, { sealed: { load }, retries: 0 })
  let recorded: WxAnswer | undefined
  phone.interference.after = (sent, answer) => {
    if (sent.path === INFO) recorded = { ...answer }
  }
  await client.user.update({ nickname: '小明' })
  phone.interference.after = (_sent, answer) => void Object.assign(answer, recorded)
  await assert.rejects(client.user.update({ nickname: '小红' }), (error) => hasReason(error, 'bad_response'))
})

test('the shortest and the longest RSA keys, and every text, are sealed as node opens it', () => {
  for (const modulusLength of [2048, 4096]) {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength })
    const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
    for (const text of ['', '{"a":"小\\n"}', `🔒 ß ${'x'.repeat(10_000)}`]) {
      const request = {
        key: { kid: 'k', n, e },
        method: 'POST',
        path: '/x',
        issuedAt: 1,
        token: 'token',
        content: text,
      }
      const { body } = sealed.seal(request, randomBytes(sealed.RANDOM_BYTES))
      const [header = '', ...parts] = body.split('.')
      const [wrapped, iv, ciphertext, tag] = parts.map((part) => Buffer.from(part, 'base64url')) as Buffer[]
      assert(wrapped && iv && ciphertext && tag)
      const cek = privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, wrapped)
      const cipher = createDecipheriv('aes-256-gcm', cek, iv).setAAD(Buffer.from(header)).setAuthTag(tag)
      assert.equal(Buffer.concat([cipher.update(ciphertext), cipher.final()]).toString(), text)
      const { ath, jti } = JSON.parse(Buffer.from(header, 'base64url').toString())
      assert.equal(ath, 'PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A')
      assert.match(jti, /^[\w-]{22}$/)
    }
  }
})

test('half a surrogate pair is sealed as the replacement character', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const request = { key: { kid: 'k', n, e }, method: 'POST', path: '/x', issuedAt: 1, content: 'a\uD83D' }
  const { body } = sealed.seal(request, randomBytes(sealed.RANDOM_BYTES))
  const [header = '', ...parts] = body.split('.')
  const [wrapped = '', iv = '', ciphertext = ''] = parts
  const cek = privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, Buffer.from(wrapped, 'base64url'))
  const cipher = createDecipheriv('aes-256-gcm', cek, Buffer.from(iv, 'base64url')).setAAD(Buffer.from(header))
  assert.equal(cipher.update(Buffer.from(ciphertext, 'base64url')).toString(), 'a\uFFFD')
})

test('an answer under the same key but to another message is refused', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const random = randomBytes(sealed.RANDOM_BYTES)
  const request = { key: { kid: 'k', n, e }, method: 'POST', path: '/x', issuedAt: 1, content: '{}' }
  const { body, open } = sealed.seal(request, random)
  const { jti } = JSON.parse(Buffer.from(body.split('.')[0] || '', 'base64url').toString())
  // The content key is the first of what is random.
  const answer = (fields: object) => {
    const header = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', jti, ...fields })).toString('base64url')
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', random.subarray(0, 32), iv).setAAD(Buffer.from(header))
    const content = Buffer.concat([cipher.update('{"code":200}'), cipher.final()])
    return [header, '', ...[iv, content, cipher.getAuthTag()].map((part) => part.toString('base64url'))].join('.')
  }
  assert.equal(open(answer({})), '{"code":200}')
  for (const fields of [{ jti: 'another' }, { alg: 'RSA-OAEP-256' }, { enc: 'A256CBC-HS512' }]) {
    assert.throws(() => open(answer(fields)), /not the answer/)
  }
})

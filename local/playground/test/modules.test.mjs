/** Modules of the page that need no browser. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { coloured, curl, literal, quoted, sdk, wx } from '../page/code.js'
import { en, zh } from '../page/messages.js'
import { buckets, refilled } from '../page/rate-limit-fields.js'

const PAGE = new URL('../page/', import.meta.url)

// What a browser has.
Object.assign(globalThis, {
  location: { origin: 'http://127.0.0.1:9000', host: '127.0.0.1:9000' },
  sessionStorage: { getItem: () => null, setItem() {} },
})

/** @returns {import('../page/http.js').Exchange} */
function exchange() {
  return {
    id: 1,
    at: new Date(0),
    side: 'backend',
    method: 'PUT',
    path: '/api/v1/user/info',
    requestHeaders: [
      ['Content-Type', 'application/json'],
      ['Authorization', 'Bearer e.y.J'],
      ['Accept-Language', 'en'],
    ],
    requestText: '{"nickname":"it\'s \\"小明\\""}',
    requestBody: { nickname: 'it\'s "小明"' },
    requestForm: [],
    sdk: undefined,
    wx: undefined,
    status: 200,
    responseHeaders: [],
    responseText: '{}',
    ms: 1,
  }
}

test('buckets are read from the two header fields', () => {
  assert.deepEqual(buckets('"user";q=40;w=20, "wechat";q=60;w=1800', '"user";r=39;t=1, "wechat";r=0;t=12'), [
    { name: 'user', burst: 40, window: 20, left: 39 },
    { name: 'wechat', burst: 60, window: 1800, left: 0 },
  ])
  assert.deepEqual(buckets(null, null), [])
  assert.deepEqual(buckets('"user";q=40;w=20', null), [])
})

test('a bucket fills steadily, and not beyond its burst', () => {
  const bucket = { burst: 40, window: 20 }
  assert.equal(refilled(bucket, 0, 5), 10)
  assert.equal(refilled(bucket, 35, 5), 40)
  assert.equal(refilled(bucket, 7, -1), 7)
})

test('a shell gives curl what the page sent', () => {
  const line = curl(exchange()).replace(/^curl/, 'printf "%s\\n"')
  const words = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).trimEnd().split('\n')
  assert.deepEqual(words, [
    '-i',
    '-X',
    'PUT',
    'http://127.0.0.1:9000/api/v1/user/info',
    '-H',
    'Content-Type: application/json',
    '-H',
    'Authorization: Bearer e.y.J',
    '-d',
    '{"nickname":"it\'s \\"小明\\""}',
  ])
  assert.equal(quoted("a'b"), "'a'\\''b'")
})

test('curl uploads a file whatever its name is, and takes values as they are', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'weapp-upload-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const name = 'my, "photo";x\'y\\z.png'
  writeFileSync(join(folder, name), 'PNG')
  /** @type {FormData | undefined} */
  let received
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    received = await new Response(body, {
      headers: { 'Content-Type': request.headers['content-type'] ?? '' },
    }).formData()
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const upload = {
    ...exchange(),
    side: /** @type {const} */ ('store'),
    method: 'POST',
    path: '/_objects/avatars',
    requestHeaders: [],
    requestBody: undefined,
    requestForm: [
      { name: 'key', value: '@a;type=b, <c' },
      { name: 'file', value: '', file: { name, type: 'image/png', size: 3 } },
    ],
  }
  const line = curl(upload).replace(location.origin, `http://127.0.0.1:${port}`)
  const ended = spawn('sh', ['-c', line], { cwd: folder, stdio: 'ignore' })
  const [code] = await once(ended, 'exit')
  server.close()
  assert.equal(code, 0, line)
  assert.equal(received?.get('key'), '@a;type=b, <c')
  const file = received?.get('file')
  assert.ok(file instanceof File)
  assert.deepEqual([file.type, await file.text()], ['image/png', 'PNG'])
})

test('sessions are kept and restored under any name', async () => {
  const { restored, stored } = await import('../page/session.js')
  const user = { id: '1', nickname: null, avatarUrl: null, phone: null, role: 'user', status: 'active', version: 1 }
  const session = { token: 'a', refreshToken: 'b', user, ended: false }
  for (const name of ['constructor', '__proto__', 'toString']) {
    const phone = { person: name, sessions: new Map() }
    assert.equal(restored(stored(phone)).sessions.get(name), undefined)
    phone.sessions.set(name, session)
    assert.deepEqual(restored(stored(phone)), phone)
  }
})

test('what is no state of the page is not restored', async () => {
  const { restored } = await import('../page/session.js')
  const none = { person: 'alice', sessions: new Map() }
  for (const text of [
    null,
    '',
    '{',
    'null',
    '1',
    '{"person":"bob","sessions":null}',
    '{"person":"bob","sessions":{}}',
  ]) {
    assert.deepEqual(restored(text), none, String(text))
  }
  assert.deepEqual(restored('{"person":"bob","sessions":[1]}'), none)
})

test('wx.request is called with what the page sent', () => {
  /** @type {any} */
  let called
  const request = (/** @type {any} */ options) => {
    called = options
  }
  new Function('wx', wx(exchange()))({ request })
  assert.deepEqual(
    { ...called, success: null },
    {
      url: 'http://127.0.0.1:9000/api/v1/user/info',
      method: 'PUT',
      header: { Authorization: 'Bearer e.y.J' },
      data: { nickname: 'it\'s "小明"' },
      success: null,
    },
  )
})

test('what no page has a part in has no code', () => {
  const push = { ...exchange(), side: /** @type {const} */ ('wechat') }
  assert.deepEqual([wx(push), sdk(push)], ['', ''])
})

test('a value as JavaScript is that value', () => {
  for (const value of ['a\'b"c\\d\n', 7, true, null, ['x', 1], { a: 1, 'b-c': { d: 'é' } }, 'x'.repeat(100)]) {
    assert.deepEqual(new Function(`return (${literal(value, 1)})`)(), value)
  }
})

test('a call without a method of its own is a request of the SDK', () => {
  assert.match(sdk(exchange()), /await client\.request\('PUT', '\/api\/v1\/user\/info', \{ body: \{ nickname: /)
  assert.match(sdk({ ...exchange(), sdk: 'await client.login()' }), /await client\.login\(\)$/)
  assert.equal(sdk({ ...exchange(), side: 'phone' }), '')
  const admin = sdk({ ...exchange(), sdk: "await adminApi(client).users.search('13800138000')" })
  assert.match(admin, /^import \{ adminApi \} from 'weapp-serverless-sdk\/admin'\nimport \{ client \}/)
})

test('coloured text is the whole text', () => {
  const text = 'HTTP/1.1 200\nx: "y"\n\n{"a": "b\\"c", "n": -1.5, "t": true, "l": [null]}'
  const parts = coloured(text)
  assert.equal(parts.map(([, part]) => part).join(''), text)
  const kinds = parts.filter(([kind]) => kind === 'name').map(([, part]) => part)
  assert.deepEqual(kinds, ['"a"', '"n"', '"t"', '"l"'])
})

test('both languages have each text, with the same values', () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(zh).sort())
  for (const [name, text] of Object.entries(zh)) {
    const values = (/** @type {string} */ words) => (words.match(/\{\w+\}/g) ?? []).sort()
    assert.deepEqual(values(en[/** @type {keyof typeof en} */ (name)]), values(text), name)
    assert.notEqual(text.trim(), '', name)
  }
})

test('each text is used', () => {
  const sources = readdirSync(PAGE).filter((name) => name !== 'messages.js')
  const source = sources.map((name) => readFileSync(new URL(name, PAGE), 'utf8')).join('\n')
  for (const name of Object.keys(zh)) {
    const [family] = name.split('_')
    const isUsed = source.includes(`'${name}'`) || source.includes(`"${name}"`) || source.includes(`\`${family}_$`)
    assert.ok(isUsed, name)
  }
})

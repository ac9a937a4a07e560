import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { type Context, createContext, runInContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { createClient as fromModule } from 'weapp-serverless-sdk'
import type { adminApi } from 'weapp-serverless-sdk/admin'
import { Backend, newPhone } from './kit'

const read = (path: string) => readFileSync(path, 'utf8')
const KiB = 1024

test('the core is small, minified and gzipped', (context) => {
  const sizes = Object.fromEntries(
    ['index', 'admin', 'sealed'].map((name) => [
      name,
      gzipSync(read(`miniprogram_dist/${name}.js`), { level: 9 }).length,
    ]),
  )
  context.diagnostic(`gzipped: core ${sizes.index} bytes, admin ${sizes.admin} bytes, sealed ${sizes.sealed} bytes`)
  assert((sizes.index || Number.NaN) <= 12 * KiB)
})

test('the core and the admin module hold nothing that WeChat’s engines may lack', () => {
  const core = read('dist/index.mjs') + read('dist/admin.mjs')
  for (const name of [
    'BigInt',
    'URL(',
    'Headers',
    'TextEncoder',
    'TextDecoder',
    'globalThis',
    'require(',
    '.finally(',
  ]) {
    assert(!core.includes(name), name)
  }
  // The sealed module is not part of it, and neither is anything of another package.
  assert(!/noble|node_modules/.test(core))
  assert.doesNotMatch(core, /^import /m)
  assert.deepEqual(Object.keys(JSON.parse(read('package.json')).dependencies || {}), [])
})

test('the licences of what is bundled are kept', () => {
  for (const folder of ['dist', 'miniprogram_dist']) {
    const text = read(`${folder}/sealed.LICENSES.txt`)
    for (const name of ['@noble/ciphers', '@noble/hashes']) assert(text.includes(name), name)
    assert.equal(text.split('Permission is hereby granted').length, 3)
  }
})

test('ES module and CommonJS export the same', () => {
  const required = createRequire(`${process.cwd()}/x.js`)('weapp-serverless-sdk')
  assert.equal(typeof fromModule, 'function')
  assert.equal(typeof required.createClient, 'function')
  for (const format of ['mjs', 'cjs']) assert(read(`dist/index.${format}`).includes('createClient'))
})

/** Runs a file as a mini-program's `require` does. */
function load(file: string, engine: Context): Record<string, unknown> {
  const module = { exports: {} }
  runInContext(`(function (module, exports) {${read(file)}\n})`, engine)(module, module.exports)
  return module.exports
}

test('it runs in an engine without anything but the language and wx', async () => {
  const backend = await Backend.start()
  try {
    const phone = newPhone(backend)
    const engine = createContext({ wx: phone.wx, setTimeout, clearTimeout })
    // What an old engine lacks.
    runInContext(
      'delete Promise.prototype.finally; delete Object.fromEntries; delete Object.hasOwn; delete Array.prototype.flat',
      engine,
    )
    runInContext('delete globalThis.WebAssembly; Reflect.deleteProperty(globalThis, "SharedArrayBuffer")', engine)
    const createClient = load('miniprogram_dist/index.js', engine).createClient as typeof fromModule
    const sealed = load('miniprogram_dist/sealed.js', engine) as never
    const adminOf = load('miniprogram_dist/admin.js', engine).adminApi as typeof adminApi
    const client = createClient({ baseURL: backend.url, sealed: { load: () => sealed } })
    assert.equal((await client.user.update({ nickname: '小明' })).nickname, '小明')
    assert.equal((await client.avatar.upload('http://tmp/picture.png')).status, 'published')
    assert.equal((await adminOf(client).health()).status, 'ok')
    await client.logout()
  } finally {
    await backend.stop()
  }
})

test('the core runs without BigInt', () => {
  const engine = createContext({ wx: { request: () => undefined } })
  runInContext('delete globalThis.BigInt', engine)
  const createClient = load('miniprogram_dist/index.js', engine).createClient as typeof fromModule
  assert.equal(typeof createClient({ baseURL: 'https://api.example.com' }).user.get, 'function')
})

/** The pages of the documents run: everything in them is tapped once, as a user does. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { type Client, WeappError } from 'weapp-serverless-sdk'
import { adminApi } from 'weapp-serverless-sdk/admin'
import { Backend, clientOf, newPhone, type Phone } from './kit'

type Handler = (event?: unknown) => Promise<void>

interface PageObject {
  [handler: string]: unknown
  data: Record<string, unknown>
}

const EXAMPLE = 'https://api.example.com'

const world = globalThis as unknown as Record<string, unknown>

/** Those of one page of the documents: each is a module of a mini-program. */
const modules = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)

const isPage = (code: string) => /^Page\(/m.test(code) && code.includes("'../../utils/client'")

/** Makes the code of pages a program, which the package is not part of. */
async function bundle(name: string, format: 'esm' | 'cjs', sources: string[], plugins: Plugin[] = []): Promise<string> {
  const folder = resolve('build/pages', name)
  const write = (path: string, text: string) => writeFileSync(`${folder}/${path}`, text)
  mkdirSync(`${folder}/utils`, { recursive: true })
  const [shared = ''] = modules('README.md')
  write('utils/client.ts', shared.replace(`'${EXAMPLE}'`, 'globalThis.backendURL'))
  sources.forEach((code, index) => {
    mkdirSync(`${folder}/pages/p${index}`, { recursive: true })
    write(`pages/p${index}/index.ts`, code.replaceAll(`'${EXAMPLE}'`, 'globalThis.backendURL'))
  })
  const lines = sources.map((_code, index) => `export * as p${index} from './pages/p${index}/index'`)
  write('main.ts', lines.join('\n'))
  const outfile = `${folder}/main.${format === 'esm' ? 'mjs' : 'cjs'}`
  await build({
    entryPoints: [`${folder}/main.ts`],
    outfile,
    bundle: true,
    // The package says that its modules do nothing when they load; pages do.
    ignoreAnnotations: true,
    format,
    external: ['weapp-serverless-sdk'],
    plugins,
    logLevel: 'warning',
  })
  return outfile
}

/** A mini-program on a phone: what its pages show, ask and say. */
class MiniProgram {
  readonly pages: PageObject[] = []
  readonly shown: Record<string, unknown> = {}
  readonly asked: string[] = []
  readonly said: string[] = []
  readonly files: Record<string, string> = {}
  readonly shared: string[] = []
  readonly album: string[] = []
  app: Record<string, unknown> = {}

  constructor(
    readonly backend: Backend,
    readonly phone: Phone,
  ) {
    const { shown, pages } = this
    Object.assign(world, {
      backendURL: backend.url,
      wx: this.wx,
      App: (app: Record<string, unknown>) => {
        this.app = app
      },
      Page: (page: PageObject) =>
        pages.push({
          ...page,
          setData(this: PageObject, data: object) {
            this.data = { ...this.data, ...data }
            Object.assign(shown, data)
          },
        }),
    })
  }

  private get wx(): object {
    const { wx } = this.phone
    return {
      ...wx,
      getWeRunData: () => this.control('encrypted-data', { kind: 'werun' }),
      showModal: async ({ title }: { title: string }) => ({ confirm: this.asked.push(title) > 0 }),
      showToast: ({ title }: { title: string }) => this.said.push(title),
      reLaunch: () => undefined,
      navigateTo: ({ url }: { url: string }) => this.said.push(url),
      env: { USER_DATA_PATH: 'usr' },
      getFileSystemManager: () => ({
        ...wx.getFileSystemManager?.(),
        writeFileSync: (path: string, text: string) => {
          this.files[path] = text
        },
      }),
      saveImageToPhotosAlbum: async ({ filePath }: { filePath: string }) => this.album.push(this.files[filePath] || ''),
      shareFileMessage: ({ filePath }: { filePath: string }) => this.shared.push(this.files[filePath] || ''),
    }
  }

  control(path: string, body = {}): Promise<Record<string, string>> {
    return this.backend.control(path, { user: this.phone.user, ...body })
  }

  /** Loads the pages among these modules of the documents. */
  async load(name: string, sources: string[]): Promise<void> {
    await import(pathToFileURL(await bundle(name, 'esm', sources)).href)
  }

  /** A handler of the only page that has it. */
  async tap(handler: string, event?: unknown): Promise<void> {
    const [page, ...others] = this.pages.filter((each) => handler in each)
    assert(page && others.length === 0, handler)
    await (page[handler] as Handler).call(page, event)
  }
}

async function withBackend(variables: Record<string, string>, work: (backend: Backend) => Promise<void>) {
  const backend = await Backend.start(variables)
  try {
    await work(backend)
  } finally {
    await backend.stop()
  }
}

/** Everything on a page, once; the page itself twice. */
async function visit(page: PageObject, phoneCode: () => Promise<unknown>) {
  const tap = async (handler: string, event?: unknown) => {
    await (page[handler] as Handler | undefined)?.call(page, event)
  }
  for (const handler of ['onLoad', 'onShow', 'onUnload', 'onLoad']) await tap(handler)
  await tap('choose', { detail: { avatarUrl: 'http://tmp/picture.png' } })
  await tap('signInWithPhone', { detail: await phoneCode() })
  await tap('bindPhone', { detail: await phoneCode() })
  await tap('agree')
  await tap('withdraw')
  await tap('save', { detail: { value: { nickname: '小明' } } })
  for (const handler of ['saveToAlbum', 'share', 'signOut', 'signIn', 'remove']) await tap(handler)
}

test('the pages of the documents do what they say', () =>
  withBackend({ CONSENTS: 'privacy:3,terms:2' }, async (backend) => {
    const program = new MiniProgram(backend, newPhone(backend))
    const { pages, shown } = program
    // A page of its own for administrators is below; the deletion comes last.
    const apart = ['account.md', 'admin.md']
    const names = readdirSync('docs').filter((name) => name.endsWith('.md') && !apart.includes(name))
    const sources = ['README.md', ...names.map((name) => `docs/${name}`), 'docs/account.md']
    await program.load('users', sources.flatMap(modules).filter(isPage))
    assert(pages.length >= 10, `${pages.length} pages`)

    // Behind the deletion nobody is signed in.
    const inOrder = [...pages].sort((one, other) => Number('remove' in one) - Number('remove' in other))
    for (const page of inOrder) await visit(page, () => program.control('phone-code'))
    assert.equal((shown.user as { nickname: string }).nickname, '小明')
    assert.match(String(shown.avatar), /^http/)
    assert.match(String(shown.phone), /^1\d{10}$/)
    assert.match(String(program.album), /^iVBORw0KGgo/)
    assert.equal((shown.steps as unknown[]).length, 31)
    assert.deepEqual(shown.missing, [{ document: 'privacy', version: 3 }])
    assert.deepEqual(program.asked, ['注销账号'])
    assert.deepEqual(program.said, [])
    const [exported] = JSON.parse(program.shared[0] || '[]')
    assert.equal(exported.user.nickname, '小明')
  }))

test('the page about sessions ends another one', () =>
  withBackend({}, async (backend) => {
    const phone = newPhone(backend)
    await clientOf(phone).login()
    phone.stored.clear()
    const program = new MiniProgram(backend, phone)
    await program.load(
      'sessions',
      modules('docs/login.md').filter((code) => isPage(code) && code.includes('sessions')),
    )
    await program.tap('onShow')
    const sessions = program.shown.sessions as { id: string; current: boolean }[]
    const other = sessions.find(({ current }) => !current)
    await program.tap('end', { currentTarget: { dataset: { id: other?.id } } })
    assert.deepEqual(
      (program.shown.sessions as typeof sessions).map(({ current }) => current),
      [true],
    )
  }))

test('the page about phone numbers asks before it merges or takes', () =>
  withBackend({}, async (backend) => {
    for (const [number, days, title] of [
      ['13900139004', 0, '合并账号'],
      ['13900139005', 100, '换绑手机号'],
    ] as const) {
      const [older, newer] = [newPhone(backend), newPhone(backend)]
      for (const { user } of [older, newer]) await backend.control('users', { user, phone: number }, 'PUT')
      const { code } = await backend.control('phone-code', { user: older.user })
      const owner = await clientOf(older).phone.bind(code)
      if (days > 0) await backend.lastSeen(owner?.id || '', days)
      const program = new MiniProgram(backend, newer)
      await program.load(`phone-${days}`, modules('docs/phone.md').filter(isPage))
      await program.tap('bindPhone', { detail: await program.control('phone-code') })
      assert.deepEqual(program.asked, [title])
      assert.equal(program.shown.phone, number)
    }
  }))

test('the page about deletion calls one back', () =>
  withBackend({ DELETION_COOLING_DAYS: '7' }, async (backend) => {
    const program = new MiniProgram(backend, newPhone(backend))
    const { id } = await clientOf(program.phone).user.get()
    await program.load('deletion', modules('docs/account.md').filter(isPage))
    await program.tap('remove')
    await program.tap('signIn')
    assert.deepEqual(program.asked, ['注销账号', '账号注销中'])
    assert.equal((await clientOf(program.phone).user.get()).id, id)
  }))

test('the page for administrators does what it says', () =>
  withBackend({}, async (backend) => {
    const number = '13900139006'
    const [one, other] = [newPhone(backend), newPhone(backend)]
    await backend.control('users', { user: one.user, phone: number }, 'PUT')
    const { code } = await backend.control('phone-code', { user: one.user })
    const found = await clientOf(one).phone.bind(code)
    const { id: otherId } = await clientOf(other).user.get()

    const program = new MiniProgram(backend, newPhone(backend))
    const { shown } = program
    const admin = await clientOf(program.phone).user.get()
    backend.command('admin', admin.id)
    await clientOf(program.phone).request('PUT', '/api/v1/config/home.banner', { body: { value: {} } })
    await program.load('admin', modules('docs/admin.md').filter(isPage))

    await program.tap('onLoad')
    const listed = shown.users as { id: string; version: number }[]
    assert.deepEqual(listed.map(({ id }) => id).sort(), [found?.id, otherId, admin.id].sort())
    await program.tap('onReachBottom')
    assert.equal((shown.users as unknown[]).length, 3)
    await program.tap('search', { detail: { value: { phone: number } } })
    const [user, ...others] = shown.users as typeof listed
    assert.equal(user?.id, found?.id)
    assert.deepEqual(others, [])
    await program.tap('disable', { currentTarget: { dataset: user } })
    assert.equal(shown.status, 'disabled')
    // Somebody else changes the user between reading and writing.
    const { version } = await adminApi(clientOf(program.phone)).users.get(user?.id || '')
    await adminApi(clientOf(program.phone)).users.update(user?.id || '', { nickname: '别人改的', version })
    await program.tap('disable', { currentTarget: { dataset: user } })
    assert.deepEqual(program.said, ['操作冲突，请重试'])
    await program.tap('removeUser', { currentTarget: { dataset: { id: otherId } } })
    assert.deepEqual(program.asked, ['删除用户'])
    await program.tap('publish')
    assert.deepEqual(shown.banner, { title: '小程序上线啦', isShown: true })
    await program.tap('onLoad')
    assert.deepEqual((shown.users as typeof listed).map(({ id }) => id).includes(otherId), false)
  }))

test('the app of the documents tells users of failures that no page handles', () =>
  withBackend({}, async (backend) => {
    const program = new MiniProgram(backend, newPhone(backend))
    await program.load(
      'app',
      modules('docs/errors.md').filter((code) => /^App\(/m.test(code)),
    )
    const handle = program.app.onUnhandledRejection as (event: { reason: unknown }) => void
    handle({ reason: new WeappError({ kind: 'network', reason: 'offline' }) })
    handle({ reason: new WeappError({ kind: 'cancelled', reason: 'cancelled' }) })
    handle({ reason: new Error('somebody else’s') })
    assert.deepEqual(program.said, ['网络不可用，请检查网络设置'])
  }))

/** `@tarojs/taro` as the documents import it. */
const taro: Plugin = {
  name: 'taro',
  setup(builder) {
    builder.onResolve({ filter: /^@tarojs\/taro$/ }, ({ path }) => ({ path, namespace: 'taro' }))
    builder.onLoad({ filter: /.*/, namespace: 'taro' }, () => ({ contents: 'module.exports = globalThis.taro' }))
  },
}

test('the clients of the documents reach the backend', () =>
  withBackend({}, async (backend) => {
    const program = new MiniProgram(backend, newPhone(backend))
    const { phone } = program
    Object.assign(world, {
      taro: world.wx,
      send: async (url: string, sent: RequestInit) => {
        const response = await fetch(url, sent)
        return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
      },
    })
    const isClient = (code: string) => code.includes(`baseURL: '${EXAMPLE}'`)
    const sources = ['README.md', 'docs/login.md', 'docs/sealed.md', 'docs/transports.md'].flatMap(modules)
    const outfile = await bundle('clients', 'cjs', sources.filter(isClient), [taro])
    const loaded: Record<string, { client: Client }> = createRequire(import.meta.url)(outfile)
    const clients = Object.values(loaded).map(({ client }) => client)
    assert.equal(clients.length, 5)
    for (const client of clients) {
      phone.stored.clear()
      assert((await client.login()).user.id)
      assert((await client.user.get()).id)
    }
    // The one with `onLogin` is the only one that welcomes, and the login was the user's second one.
    assert.deepEqual(program.said, [])
    const types = phone.sent.map(({ headers }) => headers['Content-Type']).filter(Boolean)
    assert(types.includes('application/jose') && types.includes('application/json'))
  }))

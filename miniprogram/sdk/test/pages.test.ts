/** The pages of the documents run: everything in them is tapped once, as a user does. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { Backend, newPhone } from './kit'

type Handler = (event?: unknown) => Promise<void>

interface PageObject {
  [handler: string]: unknown
  data: Record<string, unknown>
}

/** Those of one page of the documents: each is a module of a mini-program. */
const modules = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)

const isPage = (code: string) => /^(Page|App)\(/m.test(code) && code.includes("'../../utils/client'")

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
  for (const handler of ['signOut', 'signIn', 'remove']) await tap(handler)
}

test('the pages of the documents do what they say', async () => {
  const backend = await Backend.start({ CONSENTS: 'privacy:3,terms:2' })
  try {
    const phone = newPhone(backend)
    const shown: Record<string, unknown> = {}
    const pages: PageObject[] = []
    const asked: string[] = []
    const files: Record<string, string> = {}
    const control = (path: string, body = {}) => backend.control(path, { user: phone.user, ...body })
    const { wx } = phone
    Object.assign(globalThis, {
      wx: {
        ...wx,
        getWeRunData: () => control('encrypted-data', { kind: 'werun' }),
        showModal: async ({ title }: { title: string }) => ({ confirm: asked.push(title) > 0 }),
        showToast: ({ title }: { title: string }) => assert.fail(title),
        reLaunch: () => undefined,
        env: { USER_DATA_PATH: 'usr' },
        getFileSystemManager: () => ({
          ...wx.getFileSystemManager?.(),
          writeFileSync: (path: string, text: string) => {
            files[path] = text
          },
        }),
        shareFileMessage: () => undefined,
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

    const folder = resolve('build/pages')
    mkdirSync(`${folder}/utils`, { recursive: true })
    const [shared = ''] = modules('README.md')
    writeFileSync(`${folder}/utils/client.ts`, shared.replace('https://api.example.com', backend.url))
    const names = ['README.md', ...readdirSync('docs').filter((name) => name.endsWith('.md') && name !== 'account.md')]
    const sources = [...names.slice(0, 1), ...names.slice(1).map((name) => `docs/${name}`), 'docs/account.md']
    const imports: string[] = []
    for (const code of sources.flatMap(modules).filter(isPage)) {
      const path = `pages/p${imports.length}`
      mkdirSync(`${folder}/${path}`, { recursive: true })
      writeFileSync(`${folder}/${path}/index.ts`, code)
      imports.push(`import './${path}/index'`)
    }
    assert(imports.length >= 10, `${imports.length} pages`)
    writeFileSync(`${folder}/main.ts`, imports.join('\n'))
    const outfile = `${folder}/main.mjs`
    const external = ['weapp-serverless-sdk']
    await build({
      entryPoints: [`${folder}/main.ts`],
      outfile,
      bundle: true,
      // The package says that its modules do nothing when they load; pages do.
      ignoreAnnotations: true,
      format: 'esm',
      external,
      logLevel: 'warning',
    })
    await import(pathToFileURL(outfile).href)

    for (const page of pages) await visit(page, () => control('phone-code'))
    assert.equal((shown.user as { nickname: string }).nickname, '小明')
    assert.match(String(shown.avatar), /^http/)
    assert.match(String(shown.phone), /^1\d{10}$/)
    assert.equal((shown.steps as unknown[]).length, 31)
    assert.deepEqual(shown.missing, [{ document: 'privacy', version: 3 }])
    assert.deepEqual(asked, ['注销账号'])
    const [exported] = JSON.parse(files['usr/export.json'] || '[]')
    assert.equal(exported.user.nickname, '小明')
  } finally {
    await backend.stop()
  }
})

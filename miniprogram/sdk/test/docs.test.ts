import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Backend } from './kit'

const read = (path: string) => readFileSync(path, 'utf8')
const PAGES = readdirSync('docs').filter((name) => name.endsWith('.md'))
const BOTH = [['README.md', 'README.en.md'], ...PAGES.map((name) => [`docs/${name}`, `docs/en/${name}`])] as const

const blocks = (page: string, language: string) =>
  [...read(page).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code = '']) => code)

const withoutComments = (code: string) => code.replace(/(^| )\/\/ .*$/gm, '$1').trimEnd()

test('both languages have every page, with the same code', () => {
  assert.deepEqual(readdirSync('docs/en').sort(), PAGES.sort())
  for (const [chinese = '', english = ''] of BOTH) {
    for (const language of ['ts', 'html', 'sh']) {
      const code = (page: string) => blocks(page, language).map(language === 'ts' ? withoutComments : String)
      if (language !== 'sh') assert.deepEqual(code(english), code(chinese), chinese)
      assert.equal(code(english).length, code(chinese).length, chinese)
    }
    assert.equal(read(english).split('\n|').length, read(chinese).split('\n|').length, `the tables of ${chinese}`)
  }
})

test('every link leads to a file', () => {
  for (const page of BOTH.flat()) {
    for (const [, link = ''] of read(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (!link.includes('://')) assert(existsSync(join(dirname(page), link)), `${page}: ${link}`)
    }
  }
})

test('the handlers that templates of the documents name exist', () => {
  const handlers = PAGES.flatMap((name) => {
    const code = blocks(`docs/${name}`, 'ts').join('\n')
    const html = blocks(`docs/${name}`, 'html').join('\n')
    const named = [...html.matchAll(/bind:\w+="(\w+)"/g)].map(([, handler = '']) => handler)
    for (const handler of named) assert.match(code, new RegExp(`^ +async ${handler}\\(`, 'm'), `${name}: ${handler}`)
    return named
  })
  assert(handlers.length >= 3)
})

test('the adapters of the documents are those that are tested', () => {
  for (const name of ['luch', 'alova']) {
    const code = withoutComments(read(`examples/${name}.ts`))
    for (const page of ['docs/transports.md', 'docs/en/transports.md']) {
      assert(blocks(page, 'ts').map(withoutComments).includes(code), `${page}: ${name}`)
    }
  }
})

test('the example for node runs', async () => {
  const example = read('examples/node.mjs')
  for (const page of ['README.md', 'README.en.md']) assert.deepEqual(blocks(page, 'js'), [example])
  const backend = await Backend.start()
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['examples/node.mjs', backend.url])
    assert.equal(stderr, '')
    assert.match(stdout, /nickname: '小明'/)
  } finally {
    await backend.stop()
  }
})

test('the code of the documents compiles against WeChat’s types', () => {
  const folder = 'build/docs'
  rmSync(folder, { recursive: true, force: true })
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  let count = 0
  for (const page of BOTH.map(([chinese = '']) => chinese)) {
    blocks(page, 'ts').forEach((code, index) => {
      const isShared = code.startsWith('// utils/client.ts')
      write(isShared ? 'utils/client.ts' : `pages/${page.replace(/\W/g, '-')}-${index}/index.ts`, code)
      count += 1
    })
  }
  assert(count > 12)
  write(
    'types.d.ts',
    "declare module '@tarojs/taro' {\n  const Taro: import('weapp-serverless-sdk').WxLike\n  export default Taro\n}\n",
  )
  const options = {
    target: 'ES2017',
    lib: ['ES2017', 'DOM'],
    module: 'ESNext',
    moduleResolution: 'Bundler',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['miniprogram-api-typings'],
  }
  write('tsconfig.json', JSON.stringify({ compilerOptions: options, include: ['.'] }))
  const compiled = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', folder], { encoding: 'utf8' })
  assert.equal(compiled.stdout, '')
  assert.equal(compiled.status, 0)
})

/** The package as it is packed, in a folder that has nothing else: the first call of somebody new. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Backend } from './kit'

const run = promisify(execFile)

/** npm's program: that of the script that runs this, or the one beside node. */
const NPM =
  process.env.npm_execpath || join(dirname(realpathSync(process.execPath)), '../lib/node_modules/npm/bin/npm-cli.js')
const TSC = resolve('node_modules/typescript/bin/tsc')
const TYPES = resolve('node_modules/@types')

const npm = (cwd: string, ...words: string[]) => run(process.execPath, [NPM, ...words], { cwd })

/** What a compiler says about a file; empty if it has nothing to say. The types of packages are checked as well. */
async function compile(cwd: string, file: string, ...options: string[]): Promise<string> {
  const words = [
    '--strict',
    '--target',
    'es2022',
    '--lib',
    'es2022',
    '--types',
    'node',
    '--typeRoots',
    TYPES,
    ...options,
  ]
  return run(process.execPath, [TSC, ...words, file], { cwd }).then(
    ({ stdout }) => stdout,
    ({ stdout }) => stdout,
  )
}

/** Every method and every type of the three modules, by name. */
const EVERYTHING = `
import * as core from 'weapp-serverless-sdk'
import { adminApi, type UserPage } from 'weapp-serverless-sdk/admin'
import { RANDOM_BYTES, seal } from 'weapp-serverless-sdk/sealed'

const client = core.createClient({ baseURL: 'https://api.example.com', sealed: { load: () => ({ RANDOM_BYTES, seal }) } })
export const page: Promise<UserPage> = adminApi(client).users.list({ status: 'active' })
export const nickname: Promise<string | null> = client.user.get().then((user: core.User) => user.nickname)
// @ts-expect-error: no such status
adminApi(client).users.list({ status: 'sleeping' })
// @ts-expect-error: without the version that it was made for
adminApi(client).users.update('id', { nickname: null })
`

test('a packed package makes its first call, as ES module, CommonJS and TypeScript', async () => {
  assert(existsSync(NPM), `no npm at ${NPM}`)
  const folder = mkdtempSync(join(tmpdir(), 'weapp-install-'))
  const backend = await Backend.start()
  try {
    // The test script has built it; building again would pull it away from under the other tests.
    await npm('.', 'pack', '--ignore-scripts', '--pack-destination', folder)
    const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'))
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const quietly = ['--offline', '--no-audit', '--no-fund', '--cache', join(folder, 'cache')]
    await npm(folder, 'install', ...quietly, `./${name}-${version}.tgz`)

    for (const example of ['node.mjs', 'node.cjs', 'node.mts']) {
      copyFileSync(join('examples', example), join(folder, example))
    }
    assert.equal(await compile(folder, 'node.mts', '--module', 'nodenext', '--outDir', 'built'), '')
    for (const program of ['node.mjs', 'node.cjs', 'built/node.mjs']) {
      const { stdout, stderr } = await run(process.execPath, [program, backend.url], { cwd: folder })
      assert.equal(stderr, '', program)
      assert.match(stdout, /nickname: '小明'/, program)
    }

    writeFileSync(join(folder, 'everything.ts'), EVERYTHING)
    for (const [module = '', moduleResolution = ''] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
      // What mini-programs are often compiled with.
      ['commonjs', 'node10'],
    ]) {
      const options = ['--noEmit', '--module', module, '--moduleResolution', moduleResolution]
      assert.equal(await compile(folder, 'everything.ts', ...options), '', moduleResolution)
    }
  } finally {
    await backend.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

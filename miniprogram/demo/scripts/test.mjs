// Builds the SDK, the mini-program and the tests, and runs the tests against a real backend: LOCAL_BINARY, by default
// that of the workspace's debug build. Arguments go to node's test runner.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { buildSdk, root } from './build.mjs'

const built = join(root, 'build')
const compiler = join(root, 'node_modules/typescript/bin/tsc')

const backend = resolve(root, process.env.LOCAL_BINARY || '../../target/debug/local')
if (!existsSync(backend)) {
  process.stderr.write(
    `The tests need the backend, and ${backend} does not exist: build it in the repository's root with \`cargo build --bin local\`, or name that of a release in LOCAL_BINARY.\n`,
  )
  process.exit(1)
}

buildSdk()
rmSync(built, { recursive: true, force: true })
const { status } = spawnSync(process.execPath, [compiler], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
// Beside the compiled scripts what the developer tools would put there.
cpSync(join(root, 'src'), join(built, 'app'), { recursive: true, filter: (path) => !path.endsWith('.ts') })

const names = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'))
await build({
  absWorkingDir: root,
  entryPoints: names.map((name) => join('test', name)),
  outdir: join(built, 'test'),
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: 'inline',
  logLevel: 'warning',
})
const files = names.map((name) => join(built, 'test', name.replace(/ts$/, 'mjs')))
const reporter = join(root, '../sdk/scripts/reporter.mjs')
const options = ['--enable-source-maps', '--test', `--test-reporter=${reporter}`]
const tests = spawnSync(process.execPath, [...options, ...process.argv.slice(2), ...files], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = tests.status ?? 1

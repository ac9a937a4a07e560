// Builds the package and the tests, and runs the tests against a real backend: LOCAL_BINARY, by default that of the
// workspace's debug build. Arguments go to node's test runner.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { buildPackage, buildTypes } from './build.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(root, 'build/test')
const backend = resolve(root, process.env.LOCAL_BINARY || '../../target/debug/local')
if (!existsSync(backend)) {
  process.stderr.write(
    `The tests need the backend, and ${backend} does not exist: build it in the repository's root with \`cargo build --bin local\`, or name that of a release in LOCAL_BINARY.\n`,
  )
  process.exit(1)
}

await buildPackage()
buildTypes()
rmSync(built, { recursive: true, force: true })
const names = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'))
await build({
  absWorkingDir: root,
  entryPoints: names.map((name) => join('test', name)),
  outdir: built,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  // Tests import what is published, by its name, not the sources.
  external: ['weapp-serverless-sdk', 'esbuild', 'typescript', 'openapi-typescript'],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: 'inline',
  logLevel: 'warning',
})
const files = names.map((name) => join(built, name.replace(/ts$/, 'mjs')))
const options = ['--enable-source-maps', '--test', `--test-reporter=${join(root, 'scripts/reporter.mjs')}`]
const tests = spawnSync(process.execPath, [...options, ...process.argv.slice(2), ...files], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = tests.status ?? 1

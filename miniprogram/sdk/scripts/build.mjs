// Builds what the package holds: dist/ (ES module, CommonJS, types) and miniprogram_dist/, which the developer tools copy
// when they build npm packages (工具 → 构建 npm).
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const FOLDERS = ['dist', 'miniprogram_dist']
/** The packages that are part of the sealed module. */
const BUNDLED = ['@noble/ciphers', '@noble/hashes']
const entries = { index: 'src/index.ts', admin: 'src/admin/index.ts', sealed: 'src/sealed/index.ts' }

const common = {
  absWorkingDir: root,
  entryPoints: entries,
  bundle: true,
  // What WeChat's engines run without being compiled once more.
  target: 'es2017',
  // `target` is about syntax. This function is younger than iPhones that WeChat runs on.
  define: { 'Object.hasOwn': 'hasOwn' },
  inject: ['src/sealed/has-own.ts'],
  charset: 'utf8',
  legalComments: 'eof',
  logLevel: 'warning',
}

export async function buildPackage() {
  for (const folder of FOLDERS) rmSync(join(root, folder), { recursive: true, force: true })
  await Promise.all([
    build({ ...common, outdir: 'dist', format: 'esm', outExtension: { '.js': '.mjs' } }),
    build({ ...common, outdir: 'dist', format: 'cjs', outExtension: { '.js': '.cjs' } }),
    build({ ...common, outdir: 'miniprogram_dist', format: 'cjs', minify: true }),
  ])
  const licences = BUNDLED.map(
    (name) => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8')}`,
  )
  for (const folder of FOLDERS) writeFileSync(join(root, folder, 'sealed.LICENSES.txt'), licences.join('\n\n'))
}

export function buildTypes() {
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: root, stdio: 'inherit' })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildPackage()
  buildTypes()
}

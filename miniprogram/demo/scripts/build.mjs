// 构建 SDK，放到 src/miniprogram_npm：与开发者工具「构建 npm」的结果相同，但无需先打包、安装。
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const sdk = join(root, '../sdk')

function execute(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: sdk,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
}

export function buildSdk() {
  if (!existsSync(join(sdk, 'node_modules'))) execute('npm', ['ci', '--no-audit', '--no-fund'])
  execute(process.execPath, ['scripts/build.mjs'])
  const target = join(root, 'src/miniprogram_npm/weapp-serverless-sdk')
  rmSync(target, { recursive: true, force: true })
  cpSync(join(sdk, 'miniprogram_dist'), target, { recursive: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildSdk()

// Runs the tests against a real backend, LOCAL_BINARY, by default that of the workspace's debug build, in the browser
// CHROMIUM. Arguments go to node's test runner.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const names = readdirSync(folder).filter((name) => name.endsWith('.test.mjs'))
const reporter = join(folder, '../../../miniprogram/sdk/scripts/reporter.mjs')
// One browser at a time: a frame that is not drawn in time would look like a fault of the page.
const options = ['--test', '--test-concurrency=1', `--test-reporter=${reporter}`]
const files = names.map((name) => join(folder, name))
const tests = spawnSync(process.execPath, [...options, ...process.argv.slice(2), ...files], { stdio: 'inherit' })
process.exitCode = tests.status ?? 1

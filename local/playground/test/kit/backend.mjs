/** The backend of `make run`, with a folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const WORKSPACE = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..')
const BINARY = resolve(process.env.LOCAL_BINARY || join(WORKSPACE, 'target/debug/local'))

/** Where screenshots are kept. */
export const SCREENSHOTS = join(WORKSPACE, 'target/playground')

/**
 * @typedef {object} Backend
 * @property {string} url
 * @property {() => Promise<void>} stop
 * @property {(path: string, body: object) => Promise<any>} post
 * @property {(person: string) => Promise<any>} logIn
 * @property {() => Promise<any>} live What `/_playground/live` answers.
 */

/**
 * @param {Record<string, string>} [variables]
 * @returns {Promise<Backend>}
 */
export async function startBackend(variables = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'weapp-playground-'))
  const env = { PORT: '0', DATA_DIR: join(folder, 'data'), ...variables }
  const child = spawn(BINARY, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const url = await bannerOf(child)
  /** @type {Backend['post']} */
  const post = async (path, body) => {
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  return {
    url,
    post,
    async logIn(person) {
      const { code } = await post('/_wechat/_control/code', { user: person })
      return (await post('/api/v1/user/login', { code })).data
    },
    async live() {
      const response = await fetch(`${url}/_playground/live`)
      return (await response.json()).data
    },
    async stop() {
      if (child.exitCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/**
 * The URL in the banner.
 *
 * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} child
 * @returns {Promise<string>}
 */
function bannerOf(child) {
  return new Promise((found, failed) => {
    let output = ''
    /** @param {Buffer} chunk */
    const read = (chunk) => {
      output += chunk
      const line = /weapp-serverless on (\S+)[\s\S]*Try \(/.exec(output)
      if (line?.[1]) found(line[1])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', failed)
    child.once('exit', (code) => failed(new Error(`the backend ended with ${code}:\n${output}`)))
  })
}

/** Contexts that share nothing but a storage: processes of their own, with a folder in place of `wx`'s storage. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { createClient, type Storage } from 'weapp-serverless-sdk'
import { Backend, clientOf, expire, newPhone } from './kit'

const CONTEXTS = 4
const CALLS = 5

function folderStorage(folder: string): Storage {
  const path = (key: string) => join(folder, key)
  return {
    get(key) {
      try {
        return readFileSync(path(key), 'utf8')
      } catch {
        return ''
      }
    },
    set(key, value) {
      // Whole or not at all, as wx.setStorageSync writes.
      const own = `${path(key)}.${process.pid}`
      writeFileSync(own, value)
      renameSync(own, path(key))
    },
    remove: (key) => rmSync(path(key), { force: true }),
  }
}

/** One context: some calls at the same time. Prints how often it refreshed and logged in. */
async function context(baseURL: string, folder: string, user: string): Promise<void> {
  const count = { refreshes: 0, logins: 0 }
  const getCode = async () => {
    count.logins += 1
    const init = { method: 'POST', body: JSON.stringify({ user }) }
    return (await (await fetch(`${baseURL}/_wechat/_control/code`, init)).json()).code
  }
  const { fetch: real } = globalThis
  globalThis.fetch = (input, init) => {
    if (String(input).endsWith('/refresh')) count.refreshes += 1
    return real(input, init)
  }
  const client = createClient({ baseURL, storage: folderStorage(folder), getCode })
  await Promise.all(Array.from({ length: CALLS }, () => client.user.get()))
  process.stdout.write(JSON.stringify(count))
}

async function inContexts(...words: string[]): Promise<{ refreshes: number; logins: number }> {
  const program = process.argv[1] || ''
  const counts = Array.from({ length: CONTEXTS }, async () => {
    const child = spawn(process.execPath, [program, 'context', ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    assert.equal(code, 0)
    return JSON.parse(printed) as { refreshes: number; logins: number }
  })
  const total = { refreshes: 0, logins: 0 }
  for (const { refreshes, logins } of await Promise.all(counts)) {
    total.refreshes += refreshes
    total.logins += logins
  }
  return total
}

if (process.argv[2] === 'context') {
  await context(...(process.argv.slice(3) as [string, string, string]))
} else {
  test('processes on one storage keep one session, whichever refreshes it', async (run) => {
    const backend = await Backend.start()
    const folder = mkdtempSync(join(tmpdir(), 'weapp-storage-'))
    try {
      const phone = newPhone(backend)
      await clientOf(phone).login()
      const seen: number[] = []
      for (let turn = 0; turn < 3; turn += 1) {
        expire(phone)
        writeFileSync(join(folder, 'weapp-session'), String(phone.stored.get('weapp-session')))
        const { refreshes, logins } = await inContexts(backend.url, folder, phone.user)
        assert.equal(logins, 0)
        // The lock is no guarantee; what it lets through, the backend answers with the same tokens.
        assert(refreshes >= 1)
        seen.push(refreshes)
        phone.stored.set('weapp-session', readFileSync(join(folder, 'weapp-session'), 'utf8'))
      }
      run.diagnostic(`refreshes of ${CONTEXTS} processes: ${seen.join(', ')}`)
      assert.equal((await clientOf(phone).sessions.list()).length, 1)
    } finally {
      rmSync(folder, { recursive: true, force: true })
      await backend.stop()
    }
  })
}

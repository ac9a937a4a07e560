import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { description, generated, target } from '../scripts/generate.mjs'

test('the generated types are those of docs/openapi.json', async (context) => {
  if (!existsSync(description)) return context.skip('there is no docs/openapi.json')
  assert.equal(readFileSync(target, 'utf8'), await generated(), 'run `npm run generate` in miniprogram/sdk')
})

test('the SDK has a sentence for every reason, and knows no others', () => {
  const [, reasons = ''] = /\n {8}Reason: (.*);\n/.exec(readFileSync(target, 'utf8')) || []
  const known = [...reasons.matchAll(/"(\w+)"/g)].map(([, reason = '']) => reason)
  assert(known.length > 30)
  const messages = readFileSync('src/messages.ts', 'utf8')
  const told = [...messages.matchAll(/^ {2}(\w+): '/gm)].map(([, reason = '']) => reason)
  const errors = readFileSync('src/errors.ts', 'utf8')
  const own = [...errors.matchAll(/^ {2}\| '(\w+)'$/gm)].map(([, reason = '']) => reason)
  // What only a mistake of the page causes has the backend's own sentence.
  const mistakes = [
    'headers_too_large',
    'idempotency_key_reused',
    'invalid_request',
    'method_not_allowed',
    'own_rights',
    'unsupported_media_type',
    'uri_too_long',
    'user_exists',
  ]
  assert.deepEqual([...told, ...mistakes].sort(), [...known, ...own].sort())
})

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { isWeappError } from 'weapp-serverless-sdk'
import { Backend, clientOf, Fail, newPhone, stored } from './kit'

const { console: printer } = globalThis
const CONSOLE = ['log', 'info', 'warn', 'error', 'debug'] as const

let backend: Backend
before(async () => {
  backend = await Backend.start()
})
after(() => backend?.stop())

test('tokens, codes, tickets and numbers are in no error, no log and not in the client', async () => {
  const printed: string[] = []
  const own = CONSOLE.map((name) => printer[name])
  for (const name of CONSOLE) printer[name] = (...words: unknown[]) => printed.push(inspect(words, { depth: 9 }))
  try {
    const number = '13900139000'
    const [owner, phone] = [newPhone(backend), newPhone(backend)]
    for (const { user } of [owner, phone]) await backend.control('users', { user, phone: number }, 'PUT')
    const phoneCode = async (user: string) => (await backend.control('phone-code', { user })).code || ''
    await clientOf(owner).phone.bind(await phoneCode(owner.user))

    const client = clientOf(phone, { retries: 0 })
    const used = await phoneCode(phone.user)
    const errors: unknown[] = []
    const failing = async (work: () => Promise<unknown>) => {
      await assert.rejects(work, (error) => errors.push(error) > 0)
    }
    let ticket = ''
    phone.interference.after = (_sent, answer) => {
      ticket = /"ticket":"([^"]+)"/.exec(String(answer.data))?.[1] || ticket
    }
    await failing(() => client.phone.bind(used))
    await failing(() => client.phone.bind('e31968a7f94cc5ee'))
    await failing(() => client.phone.resolve({ ticket: 'a-ticket-of-somebody', choice: 'take' }))
    await failing(() => client.user.update({ nickname: '' }))
    await failing(() => clientOf(phone, { getCode: async () => 'a-code-that-leaks', retries: 0 }).login())
    phone.interference.before = () => {
      throw new Fail(`request:fail url not in domain list: ${backend.url}/x?cursor=a-secret-cursor`)
    }
    await failing(() => client.user.get())
    await failing(() => client.logout())

    const { token, refreshToken } = stored(owner)
    const session = phone.sent.map(({ headers }) => (headers.Authorization || '').slice(7)).filter(Boolean)
    const secrets = [token, refreshToken, ticket, used, number, 'e31968a7f94cc5ee', 'a-ticket-of', ...session]
    secrets.push('a-code-that-leaks', 'a-secret-cursor', ...phone.codes)
    assert(ticket && secrets.every(Boolean))
    assert.equal(errors.length, 7)
    const shown = [...printed, inspect(client, { depth: 9, showHidden: true })]
    for (const error of errors) {
      assert(isWeappError(error))
      shown.push(
        inspect(error),
        JSON.stringify(error),
        error.message,
        error.userMessage,
        error.stack || '',
        String(error),
      )
    }
    for (const text of shown) {
      for (const secret of secrets) assert(!text.includes(secret), `${secret} is in ${text}`)
    }
    assert.deepEqual(printed, [])
  } finally {
    CONSOLE.forEach((name, index) => {
      printer[name] = own[index] as typeof printer.log
    })
  }
})

import { unlessCancelled } from '../cancel'
import { WeappError } from '../errors'
import type { Runtime } from '../runtime'
import { sharing } from '../sharing'
import type { SealingKey } from '../types'
import { type Answer, readAnswer } from './answer'
import type { Call } from './exchange'
import type { ServerClock } from './server-clock'

export interface SealRequest {
  key: Pick<SealingKey, 'kid' | 'n' | 'e'>
  method: string
  path: string
  /** Seconds since 1970, by the backend's clock. */
  issuedAt: number
  token?: string
  content: string
}

/** What `weapp-serverless-sdk/sealed` exports. It is loaded with the first sealed call only: it is larger than the rest. */
export interface SealedModule {
  /** Random bytes that it needs for each call. */
  readonly RANDOM_BYTES: number
  seal(request: SealRequest, random: Uint8Array): { body: string; open(answer: string): string }
}

export interface SealedOptions {
  /** `() => require('weapp-serverless-sdk/sealed')`, or an `import()`, or `require.async` of a subpackage. */
  load(): SealedModule | PromiseLike<SealedModule>
  /** Which bodies are sealed; by default all. */
  when?(method: string, path: string): boolean
}

interface Carried {
  status: number
  headers: { [name: string]: string }
  body: unknown
}

export interface Sealing {
  applies(call: Call): boolean
  send(
    call: Call,
    plain: (call: Call) => Promise<Answer>,
    carried: (call: Call, contentType: string, body: string) => Promise<Carried>,
  ): Promise<Answer>
}

const MEDIA_TYPE = 'application/jose'
/** The backend lets the key be cached for 10 minutes. */
const KEY_LIFETIME = 10 * 60 * 1000

export function createSealing(
  options: SealedOptions,
  runtime: Runtime,
  clock: ServerClock,
  randomBytes: ((length: number) => Promise<Uint8Array>) | undefined,
): Sealing {
  let cached: { key: SealingKey; until: number } | undefined

  const shared = sharing<SealingKey>()

  const fetchKey = async (plain: (call: Call) => Promise<Answer>) => {
    const { data, error } = await plain({ method: 'GET', path: '/api/v1/crypto/key' })
    if (error) throw error
    cached = { key: data as SealingKey, until: runtime.monotonic() + KEY_LIFETIME }
    return cached.key
  }

  /** Calls at the same time share the request for it. */
  const keyFor = async ({ signal }: Call, plain: (call: Call) => Promise<Answer>) => {
    if (cached && runtime.monotonic() < cached.until) return cached.key
    return unlessCancelled(
      shared('', () => fetchKey(plain)),
      signal,
    )
  }

  const random = (length: number) => {
    if (randomBytes) return randomBytes(length)
    throw new WeappError({ kind: 'client', reason: 'unsupported', detail: 'no getRandomValues' })
  }

  return {
    applies: ({ body, method, path, sealed }) =>
      body !== undefined && (sealed === undefined ? !options.when || options.when(method, path) : sealed),

    async send(call, plain, carried) {
      const jose = await loaded(options)
      for (let isFirst = true; ; isFirst = false) {
        const key = await keyFor(call, plain)
        const sealed = sealWith(
          jose,
          {
            key,
            method: call.method,
            path: call.path,
            issuedAt: Math.floor(clock.now() / 1000),
            content: JSON.stringify(call.body),
            ...(call.token && { token: call.token }),
          },
          await random(jose.RANDOM_BYTES),
        )
        const { status, headers, body } = await carried(call, MEDIA_TYPE, sealed.body)
        if (isSealed(headers)) return opened(sealed.open, headers, body, clock.now())
        const answer = readAnswer(status, headers, body, clock.now())
        // A success that is not sealed was not made by the function: something on the way answers in its place.
        if (!answer.error) throw new WeappError({ kind: 'network', reason: 'bad_response', status })
        if (!isFirst || answer.error.reason !== 'decrypt_failed') return answer
        // The key was rotated, or the time was wrong: the answer's `Date` has set the clock meanwhile.
        if (cached?.key === key) cached = undefined
      }
    },
  }
}

/** Whatever parameters something on the way has added. */
function isSealed(headers: { [name: string]: string }): boolean {
  const [type = ''] = (headers['content-type'] || '').split(';')
  return type.trim().toLowerCase() === MEDIA_TYPE
}

async function loaded({ load }: SealedOptions): Promise<SealedModule> {
  try {
    return await load()
  } catch {
    // A subpackage that is fetched when it is needed.
    throw new WeappError({ kind: 'network', reason: 'network', detail: 'the sealed module did not load' })
  }
}

function sealWith(jose: SealedModule, request: SealRequest, random: Uint8Array): ReturnType<SealedModule['seal']> {
  try {
    return jose.seal(request, random)
  } catch {
    throw new WeappError({
      kind: 'client',
      reason: 'unsupported',
      detail: 'this engine, or this key, can’t seal',
    })
  }
}

function opened(
  open: (answer: string) => string,
  headers: { [name: string]: string },
  body: unknown,
  now: number,
): Answer {
  let content: { code?: number }
  try {
    content = JSON.parse(open(String(body)))
  } catch {
    throw new WeappError({ kind: 'network', reason: 'bad_response', detail: 'a sealed answer that does not open' })
  }
  return readAnswer(Number(content.code), headers, content, now)
}

/** Sends requests, and keeps what was sent and answered. */
import { acceptLanguage } from './language.js'
import { createStore } from './store.js'

/**
 * What a request is: of the mini-program to the backend (`backend`), to the object store (`store`), what the phone
 * does by itself, in place of which the simulator answers (`phone`), or one of WeChat to the backend (`wechat`).
 *
 * @typedef {'backend' | 'store' | 'phone' | 'wechat'} Side
 *
 * @typedef {object} RequestSpec
 * @property {Side} [side]
 * @property {string} method
 * @property {string} path
 * @property {unknown} [body] JSON
 * @property {FormData} [form]
 * @property {string} [token]
 * @property {Record<string, string>} [headers]
 * @property {string} [sdk] The call of the SDK that does this.
 * @property {string} [wx] What a page writes for it, where that is not `wx.request`.
 * @property {boolean} [quiet] Not shown: one of many.
 *
 * @typedef {{ name: string, value: string, file?: { name: string, type: string, size: number } }} FormField
 *
 * @typedef {object} Answer
 * @property {number} status 0: none came.
 * @property {Headers} headers
 * @property {any} body Parsed, if it is JSON.
 * @property {string} text
 * @property {number} ms
 * @property {boolean} ok
 *
 * @typedef {object} Exchange
 * @property {number} id
 * @property {Date} at
 * @property {Side} side
 * @property {string} method
 * @property {string} path
 * @property {[string, string][]} requestHeaders
 * @property {string} requestText
 * @property {unknown} requestBody
 * @property {FormField[]} requestForm Empty, if it was no form.
 * @property {string | undefined} sdk
 * @property {string | undefined} wx
 * @property {number} status
 * @property {[string, string][]} responseHeaders
 * @property {string} responseText
 * @property {number} ms
 */

/** How many are kept. */
const KEPT = 60
/** Above `REQUEST_TIMEOUT_MS`. */
const TIMEOUT_MS = 40_000

let count = 0

/** The newest first. */
export const exchanges = createStore(/** @type {Exchange[]} */ ([]))
/** Every answer of the backend, shown or not. */
export const lastAnswer = createStore(/** @type {Answer | null} */ (null))

/**
 * Sends a request. Never rejects: without an answer, the status is 0.
 *
 * @param {RequestSpec} spec
 * @returns {Promise<Answer>}
 */
export async function send(spec) {
  const { side = 'backend', quiet = false } = spec
  const headers = requestHeaders(spec)
  const started = performance.now()
  const at = new Date()
  const answer = await answerOf(spec, headers, started)
  if (side === 'backend') lastAnswer.set(answer)
  if (!quiet) {
    record({
      at,
      side,
      method: spec.method,
      path: spec.path,
      requestHeaders: headers,
      requestText: requestText(spec),
      requestBody: spec.body,
      requestForm: spec.form ? fieldsOf(spec.form) : [],
      sdk: spec.sdk,
      wx: spec.wx,
      status: answer.status,
      responseHeaders: [...answer.headers],
      responseText: answer.text,
      ms: answer.ms,
    })
  }
  return answer
}

/** @param {Omit<Exchange, 'id'>} exchange */
export function record(exchange) {
  count += 1
  const numbered = { id: count, ...exchange }
  exchanges.update((kept) => [numbered, ...kept].slice(0, KEPT))
}

/** @param {RequestSpec} spec */
function requestHeaders({ side = 'backend', body, token, headers = {} }) {
  /** @type {[string, string][]} */
  const list = []
  if (body !== undefined) list.push(['Content-Type', 'application/json'])
  if (token) list.push(['Authorization', `Bearer ${token}`])
  if (side === 'backend') list.push(['Accept-Language', acceptLanguage()])
  return [...list, ...Object.entries(headers)]
}

/** @param {RequestSpec} spec */
function requestText({ body, form }) {
  if (form) {
    const fields = fieldsOf(form).map(({ name, value, file }) => `${name}: ${file ? fileText(file) : value}`)
    return `multipart/form-data\n${fields.join('\n')}`
  }
  return body === undefined ? '' : JSON.stringify(body, null, 2)
}

/**
 * @param {FormData} form
 * @returns {FormField[]}
 */
function fieldsOf(form) {
  return [...form].map(([name, value]) => {
    if (typeof value === 'string') return { name, value }
    return { name, value: '', file: { name: value.name, type: value.type, size: value.size } }
  })
}

/** @param {NonNullable<FormField['file']>} file */
function fileText(file) {
  return `<${file.name}, ${file.type}, ${file.size} B>`
}

/**
 * @param {RequestSpec} spec
 * @param {[string, string][]} headers
 * @param {number} started
 * @returns {Promise<Answer>}
 */
async function answerOf({ method, path, body, form }, headers, started) {
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: form ?? (body === undefined ? null : JSON.stringify(body)),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      cache: 'no-store',
      credentials: 'omit',
    })
    const text = await response.text()
    const ms = performance.now() - started
    const { status, ok, headers: received } = response
    return { status, headers: received, body: parsed(text), text, ms, ok }
  } catch (error) {
    const ms = performance.now() - started
    return { status: 0, headers: new Headers(), body: null, text: String(error), ms, ok: false }
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/**
 * What the simulator does in place of a phone or of WeChat.
 *
 * @param {string} path
 * @param {unknown} body
 * @param {{ method?: string, wx?: string, sdk?: string, quiet?: boolean }} [options]
 */
export function control(path, body, { method = 'POST', ...shown } = {}) {
  return send({ side: 'phone', method, path: `/_wechat/_control/${path}`, body, ...shown })
}

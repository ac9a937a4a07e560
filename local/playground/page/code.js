/**
 * An exchange as code to copy.
 *
 * @typedef {import('./http.js').Exchange} Exchange
 */

/** Headers of this page, which the code is better off without. */
const OWN_HEADERS = ['Accept-Language']

/**
 * The request as it went out, and its answer.
 *
 * @param {Exchange} exchange
 * @returns {{ request: string, answer: string }}
 */
export function raw(exchange) {
  const { method, path, requestHeaders, requestText, status, responseHeaders, responseText } = exchange
  const host = exchange.side === 'wechat' ? [] : [`Host: ${location.host}`]
  const sent = [`${method} ${path} HTTP/1.1`, ...host, ...lines(requestHeaders)]
  const received = [status === 0 ? '' : `HTTP/1.1 ${status}`, ...lines(responseHeaders)]
  return {
    request: [...sent, '', requestText].join('\n').trim(),
    answer: [...received, '', pretty(responseText)].join('\n').trim(),
  }
}

/** @param {[string, string][]} headers */
function lines(headers) {
  return headers.map(([name, value]) => `${name}: ${value}`)
}

/**
 * JSON with line breaks; anything else as it is.
 *
 * @param {string} text
 */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

/** @param {Exchange} exchange */
export function curl({ method, path, requestHeaders, requestForm, requestBody }) {
  const parts = [`curl -i${method === 'GET' ? '' : ` -X ${method}`} ${quoted(location.origin + path)}`]
  for (const [name, value] of kept(requestHeaders)) parts.push(`-H ${quoted(`${name}: ${value}`)}`)
  parts.push(...requestForm.map(formOption))
  if (requestBody !== undefined) parts.push(`-d ${quoted(compact(requestBody))}`)
  return parts.join(' \\\n  ')
}

/**
 * To `-F`, some characters of a value mean something else; in quotes, those of a file's name don't.
 *
 * @param {import('./http.js').FormField} field
 */
function formOption({ name, value, file }) {
  if (!file) return `--form-string ${quoted(`${name}=${value}`)}`
  const path = file.name.replace(/["\\]/g, '\\$&')
  return `-F ${quoted(`${name}=@"${path}";type=${file.type}`)}`
}

/** @param {unknown} body */
function compact(body) {
  return typeof body === 'string' ? body : JSON.stringify(body)
}

/**
 * For a POSIX shell.
 *
 * @param {string} text
 */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** @param {[string, string][]} headers */
function kept(headers) {
  return headers.filter(([name]) => !OWN_HEADERS.includes(name))
}

/**
 * What a page writes for it; empty for what a page has no part in.
 *
 * @param {Exchange} exchange
 */
export function wx(exchange) {
  const { side, method, path, requestHeaders, requestBody } = exchange
  if (exchange.wx) return exchange.wx
  if (side !== 'backend') return ''
  const header = Object.fromEntries(kept(requestHeaders).filter(([name]) => name !== 'Content-Type'))
  const options = [
    `url: ${literal(location.origin + path)}`,
    `method: ${literal(method)}`,
    ...(Object.keys(header).length > 0 ? [`header: ${literal(header, 1)}`] : []),
    ...(requestBody === undefined ? [] : [`data: ${literal(requestBody, 1)}`]),
    'success({ statusCode, data }) {\n    console.log(statusCode, data)\n  }',
  ]
  return `wx.request({\n${options.map((option) => `  ${option},`).join('\n')}\n})`
}

/**
 * The same with the SDK.
 *
 * @param {Exchange} exchange
 */
export function sdk({ sdk: known, method, path, requestBody, side }) {
  if (known) return `${known.includes('adminApi(') ? `${SDK_ADMIN}\n` : ''}${SDK_CLIENT}\n\n${known}`
  if (side !== 'backend') return ''
  const options = requestBody === undefined ? '' : `, { body: ${literal(requestBody)} }`
  return `${SDK_CLIENT}\n\nawait client.request(${literal(method)}, ${literal(path)}${options})`
}

const SDK_ADMIN = "import { adminApi } from 'weapp-serverless-sdk/admin'"
const SDK_CLIENT = "import { client } from '../../utils/client' // createClient({ baseURL })"

/**
 * A value as JavaScript.
 *
 * @param {unknown} value
 * @param {number} [depth]
 * @returns {string}
 */
export function literal(value, depth = 0) {
  if (typeof value === 'string')
    return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  if (Array.isArray(value)) return `[${value.map((item) => literal(item, depth)).join(', ')}]`
  if (value === null || typeof value !== 'object') return String(value)
  const members = Object.entries(value).map(([name, item]) => `${key(name)}: ${literal(item, depth)}`)
  const line = `{ ${members.join(', ')} }`
  if (line.length < 80 || depth === 0) return line
  const indent = '  '.repeat(depth + 1)
  return `{\n${members.map((member) => `${indent}${member},\n`).join('')}${'  '.repeat(depth)}}`
}

/** @param {string} name */
function key(name) {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`
}

/**
 * A message of HTTP: the names of its headers, and its body as JSON.
 *
 * @param {string} text
 * @returns {[kind: string, text: string][]}
 */
export function colouredHttp(text) {
  const [head = '', ...rest] = text.split('\n\n')
  const [first = '', ...headers] = head.split('\n')
  /** @type {[string, string][]} */
  const parts = [['', first]]
  for (const line of headers) {
    const end = line.indexOf(':')
    parts.push(['', '\n'], ['name', line.slice(0, end)], ['', line.slice(end)])
  }
  if (rest.length === 0) return parts
  return [...parts, ['', '\n\n'], ...coloured(rest.join('\n\n'))]
}

/**
 * Parts of a text with what they are in JSON or JavaScript, for colours.
 *
 * @param {string} text
 * @returns {[kind: string, text: string][]}
 */
export function coloured(text) {
  const pattern = /("(?:[^"\\\n]|\\.)*"(?=\s*:))|("(?:[^"\\\n]|\\.)*")|\b(true|false|null)\b|(-?\b\d+(?:\.\d+)?\b)/g
  /** @type {[string, string][]} */
  const parts = []
  let end = 0
  for (const match of text.matchAll(pattern)) {
    parts.push(['', text.slice(end, match.index)])
    const kinds = ['name', 'string', 'word', 'number']
    parts.push([kinds[match.slice(1).findIndex((group) => group !== undefined)] ?? '', match[0]])
    end = match.index + match[0].length
  }
  parts.push(['', text.slice(end)])
  return parts.filter(([, part]) => part !== '')
}

/** The panel of tokens: what the phone holds, decoded. Nothing is verified: that is the backend's. */
import { coloured } from './code.js'
import { byId, h, replace } from './dom.js'
import { language, t } from './language.js'
import { anySession, phone } from './session.js'
import { tab } from './tabs.js'

const TICK_MS = 1000
/** Bytes of a refresh token's parts. */
const ID = 16
const COUNTER = 4

/** @param {string} text base64url */
function bytes(text) {
  const padded = text.replaceAll('-', '+').replaceAll('_', '/')
  return Uint8Array.from(atob(padded), (character) => character.charCodeAt(0))
}

/**
 * A JWT's header and claims (RFC 7519).
 *
 * @param {string} token
 * @returns {{ header: Record<string, any>, claims: Record<string, any> }}
 */
export function decodeAccess(token) {
  const [header, claims] = token.split('.').map((part) => new TextDecoder().decode(bytes(part)).trim())
  return { header: parsed(header), claims: parsed(claims) }
}

/** @param {string | undefined} text */
function parsed(text) {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return {}
  }
}

/**
 * What a refresh token names (docs/api.md, "Tokens").
 *
 * @param {string} token
 */
export function decodeRefresh(token) {
  const content = bytes(token.replace(/^rt1\./, ''))
  const counter = new DataView(content.buffer).getUint32(2 * ID)
  const mac = content.length - 2 * ID - COUNTER
  return { user: uuid(content.slice(0, ID)), session: uuid(content.slice(ID, 2 * ID)), counter, mac: `${mac} bytes` }
}

/** @param {Uint8Array} content */
function uuid(content) {
  const hex = [...content].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** @param {unknown} value */
function json(value) {
  const parts = coloured(JSON.stringify(value, null, 2))
  return h(
    'pre',
    { tabindex: 0 },
    h('code', {}, ...parts.map(([kind, part]) => (kind ? h('span', { class: `code-${kind}` }, part) : part))),
  )
}

/**
 * @param {string} title
 * @param {...import('./dom.js').Child} children
 */
function block(title, ...children) {
  return h('section', { class: 'block' }, h('header', {}, h('h3', {}, title)), ...children)
}

/** @param {Record<string, any>} claims */
function remaining({ iat, exp }) {
  const left = Math.max(0, Math.floor(exp - Date.now() / 1000))
  const label = left > 0 ? t('expiresIn', { seconds: left.toLocaleString(language.get()) }) : t('expired')
  const bar = h('progress', { max: exp - iat, value: left, 'aria-label': t('remaining') })
  return h('p', { class: 'remaining', id: 'remaining' }, bar, h('span', {}, label))
}

function render() {
  const known = anySession()
  if (!known) {
    replace(byId('panel-tokens'), h('p', { class: 'empty' }, t('noTokens')))
    return
  }
  const { header, claims } = decodeAccess(known.token)
  replace(
    byId('panel-tokens'),
    known.ended && h('p', { class: 'notice' }, t('sessionEnded')),
    h('h2', {}, t('accessToken')),
    remaining(claims),
    h('p', { class: 'token' }, ...colouredToken(known.token)),
    h('div', { class: 'columns' }, block(t('header'), json(header)), block(t('claims'), json(claims))),
    h('h2', {}, t('refreshToken')),
    h('p', { class: 'token' }, known.refreshToken),
    block(t('decoded'), json(decodeRefresh(known.refreshToken))),
    h('p', { class: 'muted' }, t('tokensNote')),
  )
}

/** @param {string} token */
function colouredToken(token) {
  const kinds = ['name', 'string', 'word']
  return token.split('.').flatMap((part, index) => {
    const shown = h('span', { class: `code-${kinds[index] ?? ''}` }, part)
    return index === 0 ? [shown] : ['.', shown]
  })
}

function tick() {
  const known = anySession()
  const shown = document.getElementById('remaining')
  if (tab.get() === 'tokens' && known && shown) shown.replaceWith(remaining(decodeAccess(known.token).claims))
}

export function startTokens() {
  phone.subscribe(render)
  language.subscribe(render)
  window.setInterval(tick, TICK_MS)
  render()
}

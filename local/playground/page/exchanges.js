/**
 * The panel of requests: a list, and the one that is chosen, as it was sent and as code.
 *
 * @typedef {import('./http.js').Exchange} Exchange
 * @typedef {'http' | 'wx' | 'curl' | 'sdk'} View
 */
import { coloured, colouredHttp, curl, raw, sdk, wx } from './code.js'
import { button, byId, h, replace } from './dom.js'
import { exchanges } from './http.js'
import { language, t } from './language.js'
import { showLinesOf } from './log.js'
import { statusKind } from './status.js'
import { createStore } from './store.js'

/** @type {View[]} */
const VIEWS = ['http', 'wx', 'curl', 'sdk']
const COPIED_MS = 1500

/** The chosen exchange's number; 0: the newest. */
const chosen = createStore(0)
const view = createStore(/** @type {View} */ ('http'))

/** @param {Exchange} exchange */
function route({ path }) {
  return path.split('?')[0] ?? ''
}

/** @param {Exchange} exchange */
function item(exchange) {
  const { id, method, side, status, ms } = exchange
  const isChosen = exchange === current()
  const made = h(
    'button',
    {
      type: 'button',
      class: 'exchange',
      'aria-current': isChosen ? 'true' : null,
      'data-item': id,
      onClick: () => chosen.set(id),
    },
    h('span', { class: `side from-${side}` }, t(`side_${side}`)),
    h('span', { class: 'route' }, h('b', {}, method), ` ${route(exchange)}`),
    h('span', { class: `status ${statusKind(status)}` }, status || t('none')),
    h('span', { class: 'muted time' }, `${ms.toFixed(ms < 10 ? 1 : 0)} ms`),
  )
  return h('li', {}, made)
}

/** @returns {Exchange | undefined} */
function current() {
  const all = exchanges.get()
  return all.find(({ id }) => id === chosen.get()) ?? all[0]
}

/** @param {[kind: string, text: string][]} parts */
function code(parts) {
  const shown = parts.map(([kind, part]) => (kind ? h('span', { class: `code-${kind}` }, part) : part))
  return h('pre', { tabindex: 0 }, h('code', {}, ...shown))
}

/** @param {string} text */
function copyButton(text) {
  const made = button(t('copy'), copy, { class: 'button small copy', 'data-action': 'copy' })
  async function copy() {
    await navigator.clipboard.writeText(text)
    made.textContent = t('copied')
    window.setTimeout(() => replace(made, t('copy')), COPIED_MS)
  }
  return made
}

/**
 * @param {string} title
 * @param {string} text
 * @param {typeof coloured} colours
 */
function block(title, text, colours) {
  return h('section', { class: 'block' }, h('header', {}, h('h3', {}, title), copyButton(text)), code(colours(text)))
}

/** @param {Exchange} exchange */
function http(exchange) {
  const { request, answer } = raw(exchange)
  const id = exchange.responseHeaders.find(([name]) => name === 'x-request-id')?.[1]
  const lines = id && button(t('showLog'), () => showLinesOf(id), { class: 'button small', 'data-action': 'show-log' })
  return [
    block(t('request'), request, colouredHttp),
    block(t('answer', { ms: exchange.ms.toFixed(1) }), answer || t('noAnswer'), colouredHttp),
    lines && h('p', {}, lines),
  ]
}

/** @param {Exchange} exchange */
function detail(exchange) {
  const chosenView = view.get()
  if (chosenView === 'http') return http(exchange)
  const written = { wx, curl, sdk }[chosenView](exchange)
  if (!written) return [h('p', { class: 'notice' }, t('noCode'))]
  return [block(t(`view_${chosenView}`), written, coloured)]
}

function views() {
  const buttons = VIEWS.map((name) =>
    h(
      'button',
      {
        type: 'button',
        class: 'segment',
        'aria-pressed': String(view.get() === name),
        'data-action': `view-${name}`,
        onClick: () => view.set(name),
      },
      t(`view_${name}`),
    ),
  )
  return h('div', { class: 'segments', role: 'group', 'aria-label': t('showAs') }, ...buttons)
}

function render() {
  const list = exchanges.get()
  const shown = current()
  if (!shown) {
    replace(byId('panel-requests'), h('p', { class: 'empty' }, t('noRequests')))
    return
  }
  const clear = button(t('clear'), () => exchanges.set([]), { class: 'button small', 'data-action': 'clear-requests' })
  // A new one is at the top.
  const kept = shown === list[0] ? 0 : (byId('panel-requests').querySelector('.exchanges')?.scrollTop ?? 0)
  replace(
    byId('panel-requests'),
    h('ol', { class: 'exchanges', 'aria-label': t('requests') }, ...list.map(item)),
    h('div', { class: 'toolbar' }, views(), clear),
    h('div', { class: 'detail' }, ...detail(shown)),
  )
  byId('panel-requests').querySelector('.exchanges')?.scrollTo(0, kept)
}

export function startExchanges() {
  exchanges.subscribe(([newest]) => chosen.set(newest?.id ?? 0))
  for (const store of [chosen, view, language]) store.subscribe(render)
  render()
}

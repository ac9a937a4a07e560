/**
 * The panel of the log: the backend's lines as they are written, filtered.
 *
 * @typedef {import('./live.js').LogLine} LogLine
 */
import { button, byId, choice, h, replace } from './dom.js'
import { language, t } from './language.js'
import { logLines, lostLines, restarts } from './live.js'
import { statusKind } from './status.js'
import { createStore } from './store.js'
import { showTab, tab } from './tabs.js'

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR']
/** Enough to tell ids apart that are on the screen, from their random ends. */
const SHORT_ID = 8
/** What a request's line says in columns of its own, and what says nothing here. */
const IN_COLUMNS = ['timestamp', 'level', 'message', 'target', 'request_id', 'status', 'method', 'route', 'latency_ms']

/** @typedef {{ level: string, id: string, text: string }} Filter */

const filter = createStore(/** @type {Filter} */ ({ level: 'INFO', id: '', text: '' }))
const isPaused = createStore(false)
/** Lines with lower numbers were cleared away. */
let cleared = 0
/**
 * What is shown while it is paused.
 *
 * @type {LogLine[] | null}
 */
let frozen = null
/**
 * The elements of lines, so that an open one stays open.
 *
 * @type {WeakMap<LogLine, HTMLDetailsElement>}
 */
let elements = new WeakMap()

/**
 * @param {LogLine} line
 * @param {Filter} filter
 */
export function matches({ fields, text }, { level, id, text: part }) {
  const isLoud = LEVELS.indexOf(fields.level) >= LEVELS.indexOf(level)
  const isOf = String(fields.request_id ?? '').includes(id.trim())
  return isLoud && isOf && text.toLowerCase().includes(part.trim().toLowerCase())
}

/**
 * Shows the lines of one request.
 *
 * @param {string} id
 */
export function showLinesOf(id) {
  filter.set({ level: 'TRACE', id, text: '' })
  showTab('log')
  renderFilter()
}

/** @param {LogLine} line */
function summary({ fields }) {
  const { message, status, method, route } = fields
  if (message !== 'request') return h('span', { class: 'what' }, String(message ?? ''))
  const outcome = h('span', { class: `status ${statusKind(status)}` }, status)
  return h('span', { class: 'what' }, `${method} ${route ?? t('noRoute')} → `, outcome)
}

/** @param {LogLine} line */
function rest({ fields }) {
  const others = Object.entries(fields).filter(([name, value]) => !IN_COLUMNS.includes(name) && value !== false)
  return others.map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' ')
}

/** @param {LogLine} line */
function item(line) {
  const { fields } = line
  const id = fields.request_id ? String(fields.request_id) : ''
  const took = fields.latency_ms === undefined ? '' : `${Number(fields.latency_ms).toFixed(1)} ms`
  const only =
    id &&
    button(`#${id.slice(-SHORT_ID)}`, () => showLinesOf(id), {
      class: 'link',
      title: t('onlyThis'),
      'data-action': 'only-request',
    })
  return h(
    'details',
    { class: `log-line ${String(fields.level ?? '').toLowerCase()}` },
    h(
      'summary',
      { 'data-item': line.number },
      h('time', { class: 'muted' }, String(fields.timestamp ?? '').slice(11, 23)),
      h('b', { class: 'level' }, fields.level ?? ''),
      summary(line),
      h('span', { class: 'muted took' }, took),
      h('span', { class: 'muted rest' }, rest(line)),
    ),
    h('pre', { tabindex: 0 }, JSON.stringify(fields, null, 2)),
    only,
  )
}

function renderLines() {
  const list = document.getElementById('log-lines')
  if (!list || tab.get() !== 'log') return
  const wanted = filter.get()
  const all = frozen ?? logLines.get()
  const lost = lostLines.get()
  replace(byId('log-lost'), lost > 0 && t('linesLost', { count: lost }))
  const shown = all.filter((line) => line.number >= cleared && matches(line, wanted)).toReversed()
  replace(byId('log-count'), t('lineCount', { shown: shown.length, all: all.length }))
  if (shown.length === 0) {
    replace(list, h('p', { class: 'empty' }, t('noLines')))
    return
  }
  const items = shown.map(element)
  // Selected text would be lost.
  const isSame = items.length === list.children.length && items.every((made, index) => made === list.children[index])
  if (!isSame) replace(list, ...items)
}

/** @param {LogLine} line */
function element(line) {
  const made = elements.get(line) ?? item(line)
  elements.set(line, made)
  return made
}

/** @param {Partial<Filter>} change */
function updateFilter(change) {
  filter.update((now) => ({ ...now, ...change }))
}

function renderFilter() {
  const { level, id, text } = filter.get()
  /** @type {[string, string][]} */
  const levels = [
    ['TRACE', t('levelAll')],
    ['INFO', 'INFO'],
    ['WARN', 'WARN'],
    ['ERROR', 'ERROR'],
  ]
  const levelField = choice(levels, { 'aria-label': t('level'), name: 'level' })
  levelField.value = level
  levelField.addEventListener('change', () => updateFilter({ level: levelField.value }))
  const idField = h('input', {
    type: 'search',
    name: 'request-id',
    'aria-label': t('requestId'),
    placeholder: t('requestId'),
  })
  idField.value = id
  idField.addEventListener('input', () => updateFilter({ id: idField.value }))
  const textField = h('input', { type: 'search', name: 'text', 'aria-label': t('text'), placeholder: t('text') })
  textField.value = text
  textField.addEventListener('input', () => updateFilter({ text: textField.value }))
  const pause = button(t(isPaused.get() ? 'resume' : 'pause'), togglePause, {
    class: 'button small',
    'data-action': 'pause',
    'aria-pressed': String(isPaused.get()),
  })
  const clear = button(t('clear'), clearLines, { class: 'button small', 'data-action': 'clear-log' })
  replace(
    byId('log-filter'),
    levelField,
    idField,
    textField,
    pause,
    clear,
    h('span', { class: 'muted', id: 'log-count' }),
  )
  renderLines()
}

function togglePause() {
  isPaused.update((now) => !now)
  frozen = isPaused.get() ? logLines.get() : null
  renderFilter()
}

function clearLines() {
  cleared = (logLines.get().at(-1)?.number ?? -1) + 1
  lostLines.set(0)
  renderLines()
}

/** The numbers of lines start over with the backend, and the lines that were frozen are another one's. */
function startOver() {
  cleared = 0
  frozen = null
  isPaused.set(false)
  renderFilter()
}

export function startLog() {
  replace(
    byId('panel-log'),
    h('div', { class: 'toolbar', id: 'log-filter' }),
    h('div', { id: 'log-lines' }),
    h('p', { class: 'muted', id: 'log-lost' }),
  )
  filter.subscribe(renderLines)
  const follow = () => {
    if (!isPaused.get()) renderLines()
  }
  logLines.subscribe(follow)
  lostLines.subscribe(follow)
  restarts.subscribe(startOver)
  language.subscribe(() => {
    elements = new WeakMap()
    renderFilter()
  })
  tab.subscribe(renderLines)
  renderFilter()
}

/**
 * The panel of rows: what the table holds of the current user.
 *
 * @typedef {{ pk: string, sk: string, attributes: Record<string, unknown>, withheld: string[] }} Row
 */
import { button, byId, h, replace } from './dom.js'
import { exchanges } from './http.js'
import { language, t } from './language.js'
import { anySession, person, phone } from './session.js'
import { createStore } from './store.js'
import { tab } from './tabs.js'

/** @typedef {{ rows: Row[], more: boolean, failed?: string }} Found */

const found = createStore(/** @type {Found | null} */ (null))
/** Whether something happened since the rows were read. */
let isStale = true

async function read() {
  const who = person()
  const known = anySession(who)
  if (!known) {
    found.set(null)
    return
  }
  isStale = false
  const rows = await rowsOf(known.token)
  // Otherwise they are another user's by now, whose own are read.
  if (person() === who) found.set(rows)
}

/**
 * @param {string} token
 * @returns {Promise<Found>}
 */
async function rowsOf(token) {
  const headers = { authorization: `Bearer ${token}` }
  try {
    const response = await fetch('/_playground/rows', { headers, cache: 'no-store' })
    const answer = await response.json()
    return response.ok ? answer.data : { rows: [], more: false, failed: answer.message }
  } catch {
    return { rows: [], more: false, failed: t('noAnswer') }
  }
}

/** @param {Row} row */
function kind({ pk, sk }) {
  return sk === 'IDENTITY' ? pk.split('#')[0] : sk.split('#')[0]
}

/** @param {unknown} value */
function cell(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const kind = typeof value === 'string' ? 'string' : typeof value === 'number' ? 'number' : 'word'
  return h('code', { class: `code-${kind}` }, text)
}

/** @param {Row} row */
function card(row) {
  const attributes = Object.entries(row.attributes)
  const lines = attributes.map(([name, value]) =>
    h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, cell(value))),
  )
  const hidden = row.withheld.map((name) =>
    h('tr', {}, h('th', { scope: 'row' }, name), h('td', { class: 'muted' }, t('withheld'))),
  )
  return h(
    'details',
    { class: 'row', open: true },
    h('summary', {}, h('b', {}, kind(row)), h('span', { class: 'muted' }, `${row.pk} / ${row.sk}`)),
    h('table', {}, h('tbody', {}, ...lines, ...hidden)),
  )
}

function render() {
  const panel = byId('panel-rows')
  const now = found.get()
  const again = button(t('readAgain'), read, { class: 'button small', 'data-action': 'read-rows' })
  if (!now) {
    replace(panel, h('p', { class: 'empty' }, t('noRows')))
    return
  }
  const note = now.failed ?? t(now.rows.length === 0 ? 'rowsGone' : 'rowsNote')
  replace(
    panel,
    h('div', { class: 'toolbar' }, h('p', { class: 'muted' }, note), again),
    ...now.rows.map(card),
    now.more && h('p', { class: 'notice' }, t('moreRows')),
  )
}

function readIfSeen() {
  if (tab.get() === 'rows' && isStale) read()
}

export function startRows() {
  const invalidate = () => {
    isStale = true
    readIfSeen()
  }
  found.subscribe(render)
  language.subscribe(render)
  exchanges.subscribe(invalidate)
  phone.subscribe(invalidate)
  tab.subscribe(readIfSeen)
  render()
}

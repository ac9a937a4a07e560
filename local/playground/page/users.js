/** The panel of users, for administrators: with the API's own endpoints. */
import { literal } from './code.js'
import { button, byId, choice, h, replace } from './dom.js'
import { send } from './http.js'
import { language, t } from './language.js'
import { about } from './live.js'
import { keepUser, person, phone, session } from './session.js'
import { createStore } from './store.js'
import { tab } from './tabs.js'

/**
 * @typedef {import('./session.js').User & { createdAt: string }} User
 * @typedef {{ users: User[], cursor: string | null, message?: string }} Page
 */

const LIMIT = 10

const page = createStore(/** @type {Page | null} */ (null))
let status = ''
let number = ''
/** Whose list is shown, and as what version of themselves: their own row is in it. */
let reader = ''

/**
 * @param {string | null} [cursor] Of the page before.
 */
async function list(cursor = null) {
  const who = person()
  const known = session(who)
  if (!known) return
  const query = new URLSearchParams({ limit: String(LIMIT) })
  if (status) query.set('status', status)
  if (cursor) query.set('cursor', cursor)
  const path = `/api/v1/users?${query}`
  const filter = { ...(status ? { status } : {}), limit: LIMIT, ...(cursor ? { cursor } : {}) }
  const sdk = `const { users, cursor } = await adminApi(client).users.list(${literal(filter)})`
  const answer = await send({ method: 'GET', path, token: known.token, sdk })
  // The list is another user's by now.
  if (person() !== who) return
  const before = cursor ? (page.get()?.users ?? []) : []
  if (answer.ok) page.set({ users: [...before, ...answer.body.data.users], cursor: answer.body.data.cursor })
  else page.set({ users: before, cursor: null, message: answer.body?.message ?? t('noAnswer') })
}

async function search() {
  const who = person()
  const known = session(who)
  if (!known) return
  const body = { phone: number.trim() }
  const sdk = `const users = await adminApi(client).users.search(${literal(body.phone)})`
  const answer = await send({ method: 'POST', path: '/api/v1/users/search', body, token: known.token, sdk })
  if (person() !== who) return
  const { data, message } = answer.body ?? {}
  if (answer.ok) page.set({ users: data.users, cursor: null })
  else page.set({ users: [], cursor: null, message: data?.fields?.[0]?.message ?? message ?? t('noAnswer') })
}

/**
 * @param {User} user
 * @param {{ role?: string, status?: string }} change
 */
async function put(user, change) {
  const who = person()
  const known = session(who)
  if (!known) return
  const body = { ...change, version: user.version }
  const sdk = `const user = await adminApi(client).users.update(${literal(user.id)}, ${literal(body)})`
  const answer = await send({ method: 'PUT', path: `/api/v1/users/${user.id}`, body, token: known.token, sdk })
  if (person() !== who) return
  const changed = answer.ok ? answer.body.data : null
  page.update((now) => {
    if (!now) return now
    // The list shows numbers masked, and this answer does not.
    const users = now.users.map((one) => (one.id === changed?.id ? { ...changed, phone: one.phone } : one))
    return answer.ok ? { users, cursor: now.cursor } : { ...now, message: answer.body?.message ?? t('noAnswer') }
  })
}

async function becomeAdministrator() {
  const who = person()
  const known = session(who)
  if (!known) return
  const refusal = await makeAdministrator(known.token)
  if (refusal) {
    if (person() === who) page.set({ users: [], cursor: null, message: refusal })
    return
  }
  const path = '/api/v1/user/info'
  const answer = await send({ method: 'GET', path, token: known.token, quiet: true })
  if (answer.ok) keepUser(who, answer.body.data)
  if (person() === who) await list()
}

/**
 * @param {string} token
 * @returns {Promise<string>} Why it failed; empty: it did not.
 */
async function makeAdministrator(token) {
  const headers = { authorization: `Bearer ${token}` }
  try {
    const response = await fetch('/_playground/administrator', { method: 'POST', headers })
    return response.ok ? '' : (await response.json()).message
  } catch {
    return t('noAnswer')
  }
}

/** @param {string} status */
function statusText(status) {
  if (status === 'active') return t('statusActive')
  return status === 'disabled' ? t('statusDisabled') : status
}

/** @param {User} user */
function row(user) {
  const isSelf = user.id === session()?.user.id
  const isAdmin = user.role === 'admin'
  const isActive = user.status === 'active'
  const name = user.nickname ?? t('wechatUser')
  const barred = user.status !== 'active' && user.status !== 'disabled'
  const role = button(t(isAdmin ? 'makeUser' : 'makeAdmin'), () => put(user, { role: isAdmin ? 'user' : 'admin' }), {
    class: 'button small',
    'data-action': 'role',
    disabled: isSelf || barred,
  })
  const state = button(
    t(isActive ? 'disable' : 'enable'),
    () => put(user, { status: isActive ? 'disabled' : 'active' }),
    {
      class: `button small ${isActive ? 'danger' : ''}`,
      'data-action': 'status',
      disabled: isSelf || barred,
    },
  )
  return h(
    'tr',
    { 'data-user': user.id },
    h(
      'th',
      { scope: 'row' },
      name,
      isSelf && h('span', { class: 'muted' }, ` (${t('you')})`),
      h('code', { class: 'muted id' }, user.id),
    ),
    h('td', {}, user.phone ?? '–'),
    h(
      'td',
      {},
      h('span', { class: `tag ${isActive ? 'good' : 'bad'}` }, statusText(user.status)),
      isAdmin && h('span', { class: 'tag' }, t('administrator')),
    ),
    h('td', {}, h('div', { class: 'buttons' }, role, state)),
  )
}

/** @param {Page} now */
function table({ users, cursor, message }) {
  const heads = ['nickname', 'phoneNumber', 'state', 'change']
  const head = heads.map((name) => h('th', { scope: 'col' }, t(/** @type {'state'} */ (name))))
  return [
    message && h('p', { class: 'notice' }, message),
    users.length > 0 &&
      h(
        'div',
        { class: 'scroll' },
        h('table', { class: 'users' }, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...users.map(row))),
      ),
    users.length === 0 && !message && h('p', { class: 'empty' }, t('noUsers')),
    cursor &&
      h(
        'p',
        {},
        button(t('more'), () => list(cursor), { 'data-action': 'more-users' }),
      ),
  ]
}

function tools() {
  /** @type {[string, string][]} */
  const states = [
    ['', t('statusAll')],
    ['active', t('statusActive')],
    ['disabled', t('statusDisabled')],
  ]
  const filter = choice(states, { 'aria-label': t('state'), name: 'status' })
  filter.value = status
  filter.addEventListener('change', () => {
    status = filter.value
    list()
  })
  const field = h('input', {
    type: 'search',
    name: 'phone',
    'aria-label': t('searchNumber'),
    placeholder: t('searchNumber'),
    inputmode: 'tel',
  })
  field.value = number
  field.addEventListener('input', () => {
    number = field.value
  })
  const form = h(
    'form',
    { class: 'field' },
    field,
    h('button', { class: 'button', 'data-action': 'search' }, t('search')),
  )
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    search()
  })
  return h(
    'div',
    { class: 'toolbar' },
    filter,
    button(t('list'), () => list(), { 'data-action': 'list' }),
    form,
  )
}

function render() {
  const panel = byId('panel-users')
  const known = session()
  const now = page.get()
  if (!known) {
    replace(panel, h('p', { class: 'empty' }, t('usersLogin')))
    return
  }
  if (known.user.role !== 'admin') {
    const become = button(t('becomeAdmin'), becomeAdministrator, {
      class: 'button primary',
      'data-action': 'become-admin',
    })
    const mayBecome = about.get()?.makesAdministrators
    replace(
      panel,
      h('p', {}, t('usersForAdmins')),
      mayBecome ? h('p', {}, become) : h('p', { class: 'notice' }, t('makeAdminCommand', { id: known.user.id })),
      now?.message && h('p', { class: 'notice' }, now.message),
    )
    return
  }
  replace(panel, tools(), ...(now ? table(now) : []))
}

/** @param {import('./session.js').User} user */
function versionOf(user) {
  return `${user.id} ${user.version}`
}

/** A list is read for the user who looks at it, and again when they have changed. */
function readIfSeen() {
  const known = session()
  if (tab.get() !== 'users' || known?.user.role !== 'admin' || reader === versionOf(known.user)) return
  reader = versionOf(known.user)
  list()
}

export function startUsers() {
  page.subscribe(render)
  language.subscribe(render)
  about.subscribe(render)
  tab.subscribe(readIfSeen)
  phone.subscribe(() => {
    const user = session()?.user
    if (reader && !reader.startsWith(`${user?.id} `)) {
      reader = ''
      page.set(null)
    }
    render()
    readIfSeen()
  })
  render()
}

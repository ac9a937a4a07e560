/** The phone on the left: a mini-program, and the current user. */
import { button, byId, choice, h, replace } from './dom.js'
import { language, t } from './language.js'
import { about } from './live.js'
import * as actions from './phone-actions.js'
import { choosePerson, PEOPLE, person, phone, session } from './session.js'

/**
 * @typedef {import('./phone-actions.js').Outcome} Outcome
 * @typedef {import('./phone-actions.js').Question} Question
 */

/** How long a message stays. */
const SHOWN_MS = 6000

let hiding = 0

/** @param {Outcome} outcome */
function show({ message, failed = false }) {
  const toast = byId('toast')
  toast.textContent = message
  toast.classList.toggle('failed', failed)
  toast.classList.add('shown')
  window.clearTimeout(hiding)
  hiding = window.setTimeout(() => toast.classList.remove('shown'), SHOWN_MS)
}

/**
 * A button that does one thing at a time.
 *
 * @param {string} name For tests and styles.
 * @param {string} label
 * @param {() => Promise<Outcome>} action
 * @param {string} [kind]
 */
function actionButton(name, label, action, kind = '') {
  const made = button(label, run, { class: `button ${kind}`, 'data-action': name })
  async function run() {
    made.disabled = true
    made.setAttribute('aria-busy', 'true')
    await perform(action)
    made.disabled = false
    made.removeAttribute('aria-busy')
  }
  return made
}

/**
 * Does something, and shows what came of it, with the name of the user if another one was chosen meanwhile.
 *
 * @param {() => Promise<Outcome>} action
 */
async function perform(action) {
  const who = person()
  const { message, failed = false } = await action().catch((error) => ({ message: String(error), failed: true }))
  show({ message: person() === who ? message : `${who}: ${message}`, failed })
}

/**
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
function ask({ title, text, confirm, danger = false }) {
  return new Promise((answered) => {
    const yes = button(confirm, () => dialog.close('yes'), { class: `button ${danger ? 'danger' : 'primary'}` })
    yes.dataset.action = 'confirm'
    const no = button(t('cancel'), () => dialog.close('no'), { 'data-action': 'cancel' })
    const heading = h('h2', { id: 'question' }, title)
    const dialog = h('dialog', { 'aria-labelledby': 'question' }, heading, h('p', {}, text), h('div', {}, no, yes))
    dialog.addEventListener('close', () => {
      dialog.remove()
      answered(dialog.returnValue === 'yes')
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

function people() {
  const names = PEOPLE.includes(person()) ? PEOPLE : [...PEOPLE, person()]
  const chips = names.map((name) => {
    const input = h('input', {
      type: 'radio',
      name: 'person',
      value: name,
      checked: name === person(),
      'data-item': name,
    })
    input.addEventListener('change', () => choosePerson(name))
    return h('label', { class: 'chip' }, input, h('span', {}, name))
  })
  const other = h('input', {
    'aria-label': t('otherPerson'),
    placeholder: t('otherPerson'),
    maxlength: 32,
    name: 'other',
  })
  const form = h('form', { class: 'chip-form' }, other)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const name = other.value.trim()
    other.value = ''
    if (name) choosePerson(name)
  })
  return h('fieldset', { class: 'people' }, h('legend', {}, t('whoAreYou')), ...chips, form)
}

function card() {
  const known = session()
  const user = known?.user
  const name = user?.nickname ?? (known ? t('wechatUser') : t('notLoggedIn'))
  return h(
    'div',
    { class: 'card' },
    avatar(user?.avatarUrl ?? null),
    h(
      'div',
      {},
      h('strong', { id: 'card-name' }, name),
      h('span', { class: 'muted', id: 'card-note' }, user?.phone ?? (known ? t('noPhone') : t('loginToStart'))),
      user?.role === 'admin' && h('span', { class: 'tag' }, t('administrator')),
    ),
  )
}

/** @param {string | null} url */
function avatar(url) {
  if (url) {
    const { pathname, origin, hostname } = new URL(url)
    // The same store by another name of this machine, or elsewhere, where the page does not go.
    const isHere = origin === location.origin || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)
    if (isHere) return h('img', { class: 'avatar', src: pathname, alt: t('avatar') })
  }
  return h('span', { class: 'avatar', 'aria-hidden': 'true' }, person().slice(0, 1).toUpperCase())
}

/**
 * @param {string} title
 * @param {...import('./dom.js').Child} children
 */
function group(title, ...children) {
  return h('section', { class: 'group' }, h('h3', {}, title), h('div', { class: 'cells' }, ...children))
}

function loginGroup() {
  return group(
    t('session'),
    actionButton('login', t('login'), () => actions.login(ask), 'primary'),
    actionButton('refresh', t('refresh'), actions.refreshTokens),
    actionButton('logout', t('logout'), actions.logout),
  )
}

function profileGroup() {
  const nickname = h('input', {
    name: 'nickname',
    'aria-label': t('nickname'),
    placeholder: t('nickname'),
    maxlength: 64,
  })
  nickname.value = session()?.user.nickname ?? t('exampleNickname')
  const file = h('input', {
    type: 'file',
    accept: 'image/png,image/jpeg,image/gif',
    id: 'picture',
    class: 'hidden-input',
  })
  const choose = h('label', { class: 'button', for: 'picture', 'data-action': 'choose-picture' }, t('choosePicture'))
  file.addEventListener('change', async () => {
    const [picture] = file.files ?? []
    if (picture) await perform(() => actions.changeAvatar(picture))
    file.value = ''
  })
  return group(
    t('profile'),
    actionButton('profile', t('readProfile'), actions.readProfile, 'wide'),
    h('div', { class: 'field wide' }, nickname, nicknameButton(nickname)),
    actionButton('avatar', t('drawAvatar'), () => actions.changeAvatar()),
    file,
    choose,
  )
}

/** @param {HTMLInputElement} input */
function nicknameButton(input) {
  return actionButton('nickname', t('save'), () => actions.changeNickname(input.value))
}

function phoneGroup() {
  const label = t('numberOfPhone')
  const number = h('input', {
    name: 'number',
    'aria-label': label,
    placeholder: label,
    inputmode: 'numeric',
    maxlength: 15,
  })
  const bind = actionButton('phone', t('bindPhone'), () => actions.bindPhone(number.value, ask))
  return group(t('phoneNumber'), h('div', { class: 'field wide' }, number, bind))
}

function wechatGroup() {
  /** @type {[string, string][]} */
  const kinds = [
    ['werun', t('dataSteps')],
    ['userinfo', t('dataUserInfo')],
    ['phone', t('dataPhone')],
  ]
  /** @type {[string, string][]} */
  const events = [
    ['nickname', t('pushNickname')],
    ['avatar', t('pushAvatar')],
    ['phone', t('pushPhone')],
    ['cancellation', t('pushCancellation')],
    ['text', t('pushText')],
  ]
  const kind = choice(kinds, { name: 'kind', 'aria-label': t('decryptWhat') })
  const event = choice(events, { name: 'event', 'aria-label': t('pushWhat') })
  const decrypt = () => actions.decrypt(/** @type {actions.DataKind} */ (kind.value))
  const push = () => actions.push(/** @type {actions.PushKind} */ (event.value))
  return group(
    t('wechat'),
    h('div', { class: 'field wide' }, kind, actionButton('decrypt', t('decrypt'), decrypt)),
    h('div', { class: 'field wide' }, event, actionButton('push', t('push'), push)),
  )
}

function accountGroup() {
  const remove = actionButton('delete', t('deleteAccount'), () => actions.deleteAccount(ask), 'danger wide')
  return group(t('account'), remove)
}

function render() {
  if (about.get()?.simulated === false) {
    replace(byId('people'), h('p', { class: 'notice' }, t('notSimulated')))
    replace(byId('actions'))
    return
  }
  replace(byId('people'), people())
  replace(byId('actions'), loginGroup(), profileGroup(), phoneGroup(), wechatGroup(), accountGroup())
}

function renderCard() {
  replace(byId('card'), card())
}

export function startPhone() {
  let shown = person()
  phone.subscribe((now) => {
    renderCard()
    // What somebody typed stays, as long as the current user does.
    if (now.person !== shown) render()
    shown = now.person
  })
  let simulated = about.get()?.simulated
  about.subscribe((now) => {
    // What was typed before this arrived stays, too.
    if (now?.simulated !== simulated && (simulated === false || now?.simulated === false)) render()
    simulated = now?.simulated
  })
  language.subscribe(() => {
    renderCard()
    render()
  })
  renderCard()
  render()
}

/**
 * What the buttons of the phone do: each returns a sentence for the phone's owner.
 *
 * @typedef {import('./language.js').Message} Message
 * @typedef {import('./http.js').Answer} Answer
 * @typedef {{ message: string, failed?: boolean }} Outcome
 * @typedef {{ title: string, text: string, confirm: string, danger?: boolean }} Question
 * @typedef {(question: Question) => Promise<boolean>} Ask
 */
import { literal } from './code.js'
import { control, record, send } from './http.js'
import { language, t } from './language.js'
import { about } from './live.js'
import { drawPicture } from './picture.js'
import { anySession, endSession, keepSession, keepUser, person, session } from './session.js'

const WX_LOGIN = `wx.login({
  success({ code }) {
    // POST /api/v1/user/login { code }
  },
})`
const PHONE_BUTTON = `<!-- WXML -->
<button open-type="getRealtimePhoneNumber" bind:getrealtimephonenumber="bindPhone">绑定手机号</button>

// JS
bindPhone({ detail }) {
  // POST /api/v1/user/phone { code: detail.code }
},`
/** What is asked of the phone for each kind of encrypted data. */
const ENCRYPTED = {
  werun: 'wx.getWeRunData({\n  success({ encryptedData, iv }) {\n    // POST /api/v1/user/decrypt\n  },\n})',
  userinfo:
    'wx.getUserInfo({\n  success({ encryptedData, iv, rawData, signature }) {\n    // POST /api/v1/user/decrypt\n  },\n})',
  phone:
    '<!-- the older phone number button: detail.encryptedData, detail.iv -->\n<button open-type="getPhoneNumber" bind:getphonenumber="decrypt" />',
}
/** @typedef {keyof typeof ENCRYPTED} DataKind */

/** WeChat's pushes about a user, and their fields. */
const PUSHES = {
  nickname: { event: 'user_authorization_revoke', fields: { RevokeInfo: '19' } },
  avatar: { event: 'user_authorization_revoke', fields: { RevokeInfo: '20' } },
  phone: { event: 'user_authorization_revoke', fields: { RevokeInfo: '8' } },
  cancellation: { event: 'user_authorization_cancellation', fields: {} },
  text: { message: 'text', fields: { Content: '你好' } },
}
/** @typedef {keyof typeof PUSHES} PushKind */

/**
 * @param {string} who Who asked.
 * @param {Answer} answer
 * @param {string} done
 * @returns {Outcome}
 */
function outcome(who, answer, done) {
  if (answer.ok) return { message: done }
  if (answer.status === 401) endSession(who)
  const { message, reason, error } = answer.body ?? {}
  const text = message ?? error ?? t('noAnswer')
  return { message: reason ? `${text} (${reason})` : text, failed: true }
}

/** @returns {Outcome} */
function loginFirst() {
  return { message: t('loginFirst'), failed: true }
}

/**
 * @param {Ask} ask Whether to call back an account that is being deleted.
 * @returns {Promise<Outcome>}
 */
export async function login(ask) {
  const who = person()
  const first = await logIn(who, {})
  if (first.body?.reason !== 'account_deletion_pending') return loginOutcome(who, first)
  const until = new Date(first.body.data.until).toLocaleString(language.get())
  const question = { title: t('callBackTitle'), text: t('callBackText', { until }), confirm: t('callBack') }
  return loginOutcome(who, (await ask(question)) ? await logIn(who, { cancelDeletion: true }) : first)
}

/**
 * A code serves one login.
 *
 * @param {string} who
 * @param {{ cancelDeletion?: boolean }} options
 */
async function logIn(who, options) {
  const code = await control('code', { user: who }, { wx: WX_LOGIN })
  if (!code.ok) return code
  const body = { code: code.body.code, ...options }
  const sdk = `await client.login(${Object.keys(options).length > 0 ? literal(options) : ''})`
  const answer = await send({ method: 'POST', path: '/api/v1/user/login', body, sdk })
  if (answer.ok) keepTokens(who, answer.body.data)
  return answer
}

/**
 * @param {string} who
 * @param {Answer} answer
 */
function loginOutcome(who, answer) {
  return outcome(who, answer, t(answer.body?.data?.isNewUser ? 'loggedInNew' : 'loggedIn'))
}

/**
 * @param {string} who
 * @param {{ token: string, refreshToken: string, user?: import('./session.js').User }} tokens
 */
function keepTokens(who, { token, refreshToken, user = anySession(who)?.user }) {
  if (user) keepSession(who, { token, refreshToken, user, ended: false })
}

/** @returns {Promise<Outcome>} */
export async function refreshTokens() {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const body = { refreshToken: known.refreshToken }
  const sdk = '// The SDK refreshes by itself: any call does.\nawait client.user.get()'
  const answer = await send({ method: 'POST', path: '/api/v1/user/refresh', body, sdk })
  if (answer.ok) keepTokens(who, answer.body.data)
  return outcome(who, answer, t('refreshed'))
}

/** @returns {Promise<Outcome>} */
export async function logout() {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const spec = { method: 'POST', path: '/api/v1/user/logout', token: known.token, sdk: 'await client.logout()' }
  const answer = await send(spec)
  if (answer.ok) endSession(who)
  return outcome(who, answer, t('loggedOut'))
}

/** @returns {Promise<Outcome>} */
export async function readProfile() {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const path = '/api/v1/user/info'
  const answer = await send({ method: 'GET', path, token: known.token, sdk: 'const user = await client.user.get()' })
  if (answer.ok) keepUser(who, answer.body.data)
  return outcome(who, answer, t('profileRead'))
}

/**
 * @param {string} nickname
 * @returns {Promise<Outcome>}
 */
export async function changeNickname(nickname) {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const body = { nickname: nickname.trim() === '' ? null : nickname }
  const sdk = `const user = await client.user.update(${literal(body)})`
  // `wx.request` has no PATCH.
  const answer = await send({ method: 'PUT', path: '/api/v1/user/info', body, token: known.token, sdk })
  if (answer.ok) keepUser(who, answer.body.data)
  return outcome(who, answer, t('nicknameSaved'))
}

/**
 * @param {File} [chosen] Without one, a picture is drawn.
 * @returns {Promise<Outcome>}
 */
export async function changeAvatar(chosen) {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  if (about.get()?.storesPictures === false) return { message: t('storedElsewhere'), failed: true }
  const { token } = known
  const picture = chosen ?? (await drawPicture(who))
  const path = '/api/v1/user/avatar'
  const sdk = 'const { user } = await client.avatar.upload(detail.avatarUrl) // chooseAvatar'
  const body = { contentType: picture.type, size: picture.size }
  const form = await send({ method: 'POST', path, body, token, sdk })
  if (!form.ok) return outcome(who, form, '')
  const uploaded = await upload(form.body.data, picture)
  if (!uploaded.ok) return { message: t('uploadFailed', { status: uploaded.status }), failed: true }
  const confirmed = await send({ method: 'PUT', path, body: { key: form.body.data.key }, token, sdk })
  if (confirmed.ok) keepUser(who, confirmed.body.data.user)
  return outcome(who, confirmed, t(confirmed.status === 202 ? 'avatarChecking' : 'avatarSaved'))
}

/**
 * @param {{ url: string, fields: Record<string, string> }} form
 * @param {File} picture
 */
function upload({ url, fields }, picture) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', picture)
  const shown = Object.keys(fields).map((name) => `'${name}': form.fields['${name}'],`)
  const wx = `wx.uploadFile({\n  url: form.url,\n  filePath: detail.avatarUrl, // chooseAvatar\n  name: 'file',\n  formData: {\n    ${shown.join('\n    ')}\n  },\n})`
  // The store of this process, whatever name of this machine the page was opened by.
  return send({ side: 'store', method: 'POST', path: new URL(url).pathname, form, wx })
}

/**
 * @param {string} number Another one than WeChat has of this person; empty: that one.
 * @param {Ask} ask
 * @returns {Promise<Outcome>}
 */
export async function bindPhone(number, ask) {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  if (number.trim() !== '') {
    const changed = await control('users', { user: who, phone: number.trim() }, { method: 'PUT', quiet: true })
    if (!changed.ok) return outcome(who, changed, '')
  }
  const code = await control('phone-code', { user: who }, { wx: PHONE_BUTTON })
  if (!code.ok) return outcome(who, code, '')
  const sdk = 'const user = await client.phone.bind(detail.code, (offer) => ask(offer.choice))'
  const body = { code: code.body.code }
  const answer = await send({ method: 'POST', path: '/api/v1/user/phone', body, token: known.token, sdk })
  if (answer.ok) keepUser(who, answer.body.data)
  const offer = answer.body?.reason === 'phone_taken' ? answer.body.data : null
  if (!offer) return outcome(who, answer, t('phoneBound'))
  const isMerge = offer.choice === 'merge'
  const question = {
    title: t(isMerge ? 'mergeTitle' : 'takeTitle'),
    text: t(isMerge ? 'mergeText' : 'takeText'),
    confirm: t(isMerge ? 'merge' : 'take'),
  }
  return (await ask(question)) ? resolve(who, offer, known.token) : { message: t('phoneTaken'), failed: true }
}

/**
 * @param {string} who
 * @param {{ ticket: string, choice: string }} offer
 * @param {string} token
 */
async function resolve(who, { ticket, choice }, token) {
  const sdk = 'const user = await client.phone.resolve(offer)'
  const path = '/api/v1/user/phone/resolve'
  const answer = await send({ method: 'POST', path, body: { ticket, choice }, token, sdk })
  const data = answer.body?.data
  if (data?.token) keepTokens(who, data)
  else if (answer.status === 200) keepUser(who, data)
  // The next login completes it.
  else if (answer.status === 202) endSession(who)
  return outcome(who, answer, t(choice === 'merge' ? 'merged' : 'taken'))
}

/**
 * @param {DataKind} kind
 * @returns {Promise<Outcome>}
 */
export async function decrypt(kind) {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const sealed = await control('encrypted-data', { user: who, kind }, { wx: ENCRYPTED[kind] })
  if (!sealed.ok) return outcome(who, sealed, '')
  const get = { werun: 'wx.getWeRunData()', userinfo: 'wx.getUserInfo()', phone: 'detail' }[kind]
  const sdk = `const data = await client.decrypt(() => ${get})`
  const path = '/api/v1/user/decrypt'
  const answer = await send({ method: 'POST', path, body: sealed.body, token: known.token, sdk })
  return outcome(who, answer, answer.ok ? decrypted(answer.body.data) : '')
}

/** @param {any} data */
function decrypted({ stepInfoList, phoneNumber, nickName }) {
  if (stepInfoList) return t('steps', { steps: stepInfoList.at(-1).step.toLocaleString(language.get()) })
  return t('decrypted', { what: phoneNumber ?? nickName ?? '' })
}

/**
 * @param {PushKind} kind
 * @returns {Promise<Outcome>}
 */
export async function push(kind) {
  const who = person()
  const at = new Date()
  const answer = await control('push', { user: who, ...PUSHES[kind] }, { quiet: true })
  if (!answer.ok) return outcome(who, answer, '')
  const { request, status, answer: text } = answer.body
  record({
    at,
    side: 'wechat',
    method: request.method,
    path: `/api/v1/wechat/callback?${request.query}`,
    requestHeaders: [['Content-Type', request.contentType]],
    requestText: request.body,
    requestBody: request.body,
    requestForm: [],
    sdk: undefined,
    wx: undefined,
    status,
    responseHeaders: [],
    responseText: text,
    ms: answer.ms,
  })
  if (status !== 200) return { message: t('pushRefused', { status }), failed: true }
  await readBack(who)
  return { message: t('pushed') }
}

/**
 * What a push changed is seen at once.
 *
 * @param {string} who
 */
async function readBack(who) {
  const known = session(who)
  if (!known) return
  const answer = await send({ method: 'GET', path: '/api/v1/user/info', token: known.token, quiet: true })
  if (answer.ok) keepUser(who, answer.body.data)
  if (answer.status === 401) endSession(who)
}

/**
 * @param {Ask} ask
 * @returns {Promise<Outcome>}
 */
export async function deleteAccount(ask) {
  const who = person()
  const known = session(who)
  if (!known) return loginFirst()
  const question = { title: t('deleteTitle'), text: t('deleteText'), confirm: t('delete'), danger: true }
  if (!(await ask(question))) return { message: t('deletionCancelled') }
  const sdk = 'await client.account.delete() // after a second question'
  const answer = await send({ method: 'DELETE', path: '/api/v1/user', token: known.token, sdk })
  if (answer.ok) endSession(who)
  return outcome(who, answer, t(answer.status === 200 ? 'deleted' : 'deleting'))
}

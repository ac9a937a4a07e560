/** Who holds the phone, and the tokens that each of them got here. They stay in this tab. */
import { createStore } from './store.js'

/**
 * @typedef {object} User
 * @property {string} id
 * @property {string | null} nickname
 * @property {string | null} avatarUrl
 * @property {string | null} phone
 * @property {string} role
 * @property {string} status
 * @property {number} version
 *
 * @typedef {object} Session
 * @property {string} token
 * @property {string} refreshToken
 * @property {User} user
 * @property {boolean} ended After a logout or a deletion the token still says whose rows to show.
 *
 * @typedef {object} Phone
 * @property {string} person
 * @property {Record<string, Session>} sessions
 */

const KEY = 'playground-sessions'

/** People who are always offered; any other name is a person, too. */
export const PEOPLE = ['alice', 'bob', 'carol']

/** @returns {Phone} */
function remembered() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? '')
    if (typeof kept.person === 'string' && typeof kept.sessions === 'object') return kept
  } catch {
    // Nothing was kept, or by another version.
  }
  return { person: PEOPLE[0] ?? '', sessions: {} }
}

export const phone = createStore(remembered())

phone.subscribe((now) => sessionStorage.setItem(KEY, JSON.stringify(now)))

export function person() {
  return phone.get().person
}

/** The session of whoever holds the phone, ended ones included. */
export function anySession() {
  return phone.get().sessions[person()]
}

/** The session, while it lasts. */
export function session() {
  const found = anySession()
  return found && !found.ended ? found : undefined
}

/** @param {string} name */
export function choosePerson(name) {
  phone.update((now) => ({ ...now, person: name }))
}

/** @param {Session | undefined} next */
export function keepSession(next) {
  phone.update((now) => {
    const { [now.person]: _, ...others } = now.sessions
    return { ...now, sessions: next ? { ...others, [now.person]: next } : others }
  })
}

/** @param {User} user */
export function keepUser(user) {
  const known = anySession()
  if (known) keepSession({ ...known, user })
}

export function endSession() {
  const known = anySession()
  if (known) keepSession({ ...known, ended: true })
}

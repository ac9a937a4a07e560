/** The current user, and the tokens that each user got here. They stay in this tab. */
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
 * @property {Map<string, Session>} sessions By the person's name, which can be any text.
 */

const KEY = 'playground-sessions'

/** People who are always offered; any other name is a person, too. */
export const PEOPLE = ['alice', 'bob', 'carol']

/**
 * What an earlier page of this tab kept.
 *
 * @param {string | null} text As `stored` writes it.
 * @returns {Phone}
 */
export function restored(text) {
  try {
    const kept = JSON.parse(text ?? 'null')
    if (typeof kept?.person === 'string' && Array.isArray(kept.sessions)) {
      return { person: kept.person, sessions: new Map(kept.sessions) }
    }
  } catch {
    // It was kept by another version.
  }
  return { person: PEOPLE[0] ?? '', sessions: new Map() }
}

/** @param {Phone} phone */
export function stored({ person, sessions }) {
  return JSON.stringify({ person, sessions: [...sessions] })
}

export const phone = createStore(restored(sessionStorage.getItem(KEY)))

phone.subscribe((now) => sessionStorage.setItem(KEY, stored(now)))

export function person() {
  return phone.get().person
}

/** The session of a person, by default the current user; ended ones included. */
export function anySession(who = person()) {
  return phone.get().sessions.get(who)
}

/** The session, while it lasts. */
export function session(who = person()) {
  const found = anySession(who)
  return found && !found.ended ? found : undefined
}

/** @param {string} name */
export function choosePerson(name) {
  phone.update((now) => ({ ...now, person: name }))
}

/**
 * @param {string} who The person who asked, who need not be the current user by now.
 * @param {Session} next
 */
export function keepSession(who, next) {
  phone.update((now) => ({ ...now, sessions: new Map(now.sessions).set(who, next) }))
}

/**
 * @param {string} who
 * @param {User} user
 */
export function keepUser(who, user) {
  const known = anySession(who)
  if (known) keepSession(who, { ...known, user })
}

/** @param {string} who */
export function endSession(who) {
  const known = anySession(who)
  if (known) keepSession(who, { ...known, ended: true })
}

/**
 * What changes by itself, asked for once a second while the page is visible.
 *
 * @typedef {object} Breaker
 * @property {'closed' | 'open' | 'half-open'} state
 * @property {boolean} forced
 * @property {number} retryAfterMs
 * @property {number} calls
 * @property {number} failed
 * @property {number} slow
 *
 * @typedef {object} LogLine
 * @property {number} number
 * @property {string} text As the backend wrote it.
 * @property {Record<string, any>} fields
 *
 * @typedef {object} About
 * @property {string} version
 * @property {boolean} simulated
 * @property {string[]} appIds
 * @property {boolean} makesAdministrators
 * @property {boolean} storesPictures
 * @property {{ minCalls: number, failurePercent: number, slowMs: number, openMs: number, timeoutMs: number }} breaker
 */
import { createStore } from './store.js'

const PERIOD_MS = 1000
const TIMEOUT_MS = 10_000
/** As many as the backend keeps. */
const KEPT_LINES = 400
const KEPT_STATES = 120

/** The timer of the next question. */
let timer = 0
/** The number of the first line of the log that was not read yet. */
let since = 0
/** The start of the backend that answered last; empty, if it does not say. */
let instance = ''
let isAsking = false

export const about = createStore(/** @type {About | null} */ (null))
export const breaker = createStore(/** @type {Breaker | null} */ (null))
/** The breaker's state each time that it was asked for, the newest last. */
export const breakerHistory = createStore(/** @type {Breaker['state'][]} */ ([]))
/** The oldest first. */
export const logLines = createStore(/** @type {LogLine[]} */ ([]))
/** How many lines before the oldest one were overwritten before they were read. */
export const lostLines = createStore(0)
/** How often the backend was started anew since the page was opened. */
export const restarts = createStore(0)
/** Whether the backend answers. */
export const isConnected = createStore(true)

/** @param {string} path */
async function read(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' })
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return (await response.json()).data
}

/** Asks now. */
export async function refresh() {
  if (isAsking) return
  isAsking = true
  window.clearTimeout(timer)
  try {
    if (!about.get()) about.set(await read('/_playground/about'))
    take(await readLive())
    if (!isConnected.get()) isConnected.set(true)
  } catch {
    if (isConnected.get()) isConnected.set(false)
  }
  isAsking = false
  if (!document.hidden) timer = window.setTimeout(refresh, PERIOD_MS)
}

/**
 * @typedef {object} Live
 * @property {Breaker | null} breaker
 * @property {{ lines: string[], next: number, lost: number }} log
 * @property {string} [instance] Another one after each start of the backend.
 */

/** @returns {Promise<Live>} */
async function readLive() {
  /** @type {Live} */
  const live = await read(`/_playground/live?since=${since}`)
  const { instance: latest = '' } = live
  const isOther = instance !== '' && latest !== instance
  if (!isOther && live.log.next >= since) {
    instance = latest
    return live
  }
  // Its log starts over, and it may be configured otherwise.
  about.set(await read('/_playground/about'))
  instance = latest
  since = 0
  logLines.set([])
  lostLines.set(0)
  restarts.update((count) => count + 1)
  return read(`/_playground/live?since=${since}`)
}

/** @param {Live} live */
function take(live) {
  breaker.set(live.breaker)
  const state = live.breaker?.state
  if (state) breakerHistory.update((kept) => [...kept, state].slice(-KEPT_STATES))
  const { lines, next, lost } = live.log
  since = next
  if (lost > 0) lostLines.update((count) => count + lost)
  if (lines.length === 0) return
  const first = next - lines.length
  const read = lines.map((text, index) => ({ number: first + index, text, fields: fieldsOf(text) }))
  logLines.update((kept) => [...kept, ...read].slice(-KEPT_LINES))
}

/**
 * @param {string} text
 * @returns {Record<string, any>}
 */
function fieldsOf(text) {
  try {
    return JSON.parse(text)
  } catch {
    return { message: text }
  }
}

export function startLive() {
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) refresh()
  })
  refresh()
}

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
const PATIENCE_MS = 10_000
/** As many as the backend keeps. */
const KEPT_LINES = 400
const KEPT_STATES = 120

/** How long a second request may wait that an action asks for. */
let timer = 0
let since = 0
let isAsking = false

export const about = createStore(/** @type {About | null} */ (null))
export const breaker = createStore(/** @type {Breaker | null} */ (null))
/** The breaker's state each time that it was asked for, the newest last. */
export const breakerHistory = createStore(/** @type {Breaker['state'][]} */ ([]))
/** The oldest first. */
export const logLines = createStore(/** @type {LogLine[]} */ ([]))
/** Whether the backend answers. */
export const isConnected = createStore(true)

/** @param {string} path */
async function read(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: 'no-store' })
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
    take(await read(`/_playground/live?since=${since}`))
    if (!isConnected.get()) isConnected.set(true)
  } catch {
    if (isConnected.get()) isConnected.set(false)
  }
  isAsking = false
  if (!document.hidden) timer = window.setTimeout(refresh, PERIOD_MS)
}

/** @param {{ breaker: Breaker | null, log: { lines: string[], next: number } }} live */
function take(live) {
  breaker.set(live.breaker)
  const state = live.breaker?.state
  if (state) breakerHistory.update((kept) => [...kept, state].slice(-KEPT_STATES))
  const { lines, next } = live.log
  // The backend was started anew.
  if (next < since) logLines.set([])
  since = next
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

/**
 * The panel of the circuit breaker: its state as a picture, WeChat's faults, and traffic that finds them.
 *
 * @typedef {import('./live.js').Breaker} Breaker
 * @typedef {Breaker['state']} State
 */
import { button, byId, choice, h, replace, replaceIfChanged, svg } from './dom.js'
import { control, send } from './http.js'
import { language, t } from './language.js'
import { about, breaker, breakerHistory, refresh } from './live.js'
import { createStore } from './store.js'
import { tab } from './tabs.js'

/** Who logs in to find out: nobody whom the phone shows. */
const PERSON = 'playground-traffic'
/** As many as a browser has connections, and one to see what happens. */
const PARALLEL = 5
const TRAFFIC_MS = 250
const BURST = 25
/** How long logins go on by themselves. */
const FLOW_MS = 120_000
/** How much slower than a slow call a call is made. */
const SLOWER_MS = 200

const SHAPES = {
  closed: { x: 75, y: 40 },
  open: { x: 355, y: 40 },
  'half-open': { x: 215, y: 140 },
}

const tally = createStore(/** @type {Record<string, number>} */ ({}))
const faults = createStore(/** @type {Record<string, unknown>[]} */ ([]))
const isFlowing = createStore(false)

let inFlight = 0
/** When logins end. */
let flowEnd = 0

/** @param {State} name */
function node(name) {
  const { x, y } = SHAPES[name]
  const isNow = breaker.get()?.state === name
  return svg(
    'g',
    { class: `node ${name}${isNow ? ' now' : ''}` },
    svg('rect', { x: x - 55, y: y - 24, width: 110, height: 48, rx: 12 }),
    svg('text', { x, y: y + 5, 'text-anchor': 'middle' }, t(`state_${name}`)),
  )
}

/**
 * @param {string} path
 * @param {number} x
 * @param {number} y
 * @param {string} text
 */
function arrow(path, x, y, text) {
  return svg(
    'g',
    {},
    svg('path', { class: 'arrow', d: path, 'marker-end': 'url(#head)' }),
    svg('text', { class: 'why', x, y, 'text-anchor': 'middle' }, text),
  )
}

function picture() {
  const state = breaker.get()?.state ?? 'unknown'
  const rules = about.get()?.breaker
  const head = svg(
    'marker',
    { id: 'head', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto' },
    svg('path', { class: 'arrow-head', d: 'M0 0 8 4 0 8z' }),
  )
  return svg(
    'svg',
    {
      class: 'breaker',
      viewBox: '0 0 430 180',
      role: 'img',
      'aria-label': t('breakerNow', { state: t(`state_${state}`) }),
    },
    svg('defs', {}, head),
    arrow(
      'M130 40 H297',
      214,
      30,
      t('whyOpen', { percent: rules?.failurePercent ?? 50, calls: rules?.minCalls ?? 20 }),
    ),
    arrow('M355 64 V140 H273', 357, 160, t('whyHalfOpen', { seconds: (rules?.openMs ?? 5000) / 1000 })),
    arrow('M160 140 H75 V67', 75, 160, t('whyClosed')),
    .../** @type {State[]} */ (['closed', 'open', 'half-open']).map(node),
  )
}

function facts() {
  const now = breaker.get()
  if (!now) return h('p', { class: 'notice' }, t('breakerUnknown'))
  const wait = now.retryAfterMs > 0 && t('retryIn', { seconds: Math.ceil(now.retryAfterMs / 1000) })
  return h(
    'dl',
    { class: 'facts' },
    fact(
      t('stateNow'),
      h('b', { class: `state ${now.state}`, id: 'breaker-state' }, t(`state_${now.state}`)),
      now.forced && ' ',
      now.forced && h('span', { class: 'tag', id: 'breaker-forced' }, t('forced')),
      wait && ` ${wait}`,
    ),
    fact(t('callsSeen'), now.calls),
    fact(t('callsFailed'), now.failed),
    fact(t('callsSlow'), now.slow),
  )
}

/**
 * @param {string} name
 * @param {...import('./dom.js').Child} value
 */
function fact(name, ...value) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, ...value))
}

function strip() {
  const states = breakerHistory.get()
  const bars = states.map((state, index) => svg('rect', { class: state, x: index * 5, y: 0, width: 5, height: 16 }))
  return svg(
    'svg',
    { class: 'strip', viewBox: '0 0 600 16', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...bars,
  )
}

/** One login, whose code the simulated WeChat has to check. */
async function logIn() {
  inFlight += 1
  const code = await control('code', { user: PERSON }, { quiet: true })
  const body = { code: code.body?.code }
  const answer = await send({ method: 'POST', path: '/api/v1/user/login', body, quiet: true })
  inFlight -= 1
  const outcome = answer.body?.reason ? `${answer.status} ${answer.body.reason}` : String(answer.status)
  tally.update((now) => ({ ...now, [outcome]: (now[outcome] ?? 0) + 1 }))
}

async function burst() {
  tally.set({})
  let left = BURST
  const worker = async () => {
    while (left > 0) {
      left -= 1
      await logIn()
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  await refresh()
}

function flow() {
  if (performance.now() > flowEnd) stopFlow()
  if (isFlowing.get() && inFlight < PARALLEL) logIn()
}

function toggleFlow() {
  flowEnd = performance.now() + FLOW_MS
  isFlowing.update((now) => !now)
}

/** Nothing logs in that nobody sees. */
function stopFlow() {
  if (isFlowing.get()) isFlowing.set(false)
}

/** @param {{ latency: string, failure: string }} wanted */
async function breakWeChat({ latency, failure }) {
  /** @type {Record<string, unknown>} */
  const fault = { path: '/sns/jscode2session' }
  if (latency !== '0') fault.latencyMs = Number(latency)
  if (failure === 'busy') fault.errcode = -1
  if (failure === 'status') fault.status = 500
  if (failure === 'reset') fault.reset = true
  if (failure === 'garbage') fault.garbage = true
  const answer = await control('faults', fault, { method: 'PUT' })
  if (answer.ok) faults.set(answer.body.faults)
}

async function mend() {
  const answer = await control('faults', undefined, { method: 'DELETE' })
  if (answer.ok) faults.set(answer.body.faults)
}

function controls() {
  /** @type {[string, string][]} */
  const latencies = [
    ['0', t('latencyNone')],
    ['500', '0.5 s'],
  ]
  const rules = about.get()?.breaker
  if (rules) {
    const slow = rules.slowMs + SLOWER_MS
    latencies.push([String(slow), t('latencySlow', { seconds: slow / 1000 })])
  }
  /** @type {[string, string][]} */
  const failures = [
    ['status', t('failureStatus')],
    ['busy', t('failureBusy')],
    ['reset', t('failureReset')],
    ['garbage', t('failureGarbage')],
    ['none', t('failureNone')],
  ]
  const failure = choice(failures, { 'aria-label': t('failure'), name: 'failure' })
  const latency = choice(latencies, { 'aria-label': t('latency'), name: 'latency' })
  const inject = button(t('inject'), () => breakWeChat({ latency: latency.value, failure: failure.value }), {
    class: 'button danger',
    'data-action': 'inject',
  })
  const pairs = [
    [t('failure'), failure],
    [t('latency'), latency],
  ]
  const fields = pairs.map(([name, field]) =>
    h('label', { class: 'labelled' }, h('span', { class: 'muted' }, name), field),
  )
  return h('div', { class: 'toolbar' }, ...fields, inject, button(t('mend'), mend, { 'data-action': 'mend' }))
}

function traffic() {
  return h(
    'div',
    { class: 'toolbar' },
    button(t('logInMany', { count: BURST }), burst, { class: 'button primary', 'data-action': 'burst' }),
    button('', toggleFlow, { id: 'breaker-flow', 'data-action': 'flow' }),
    h('output', { id: 'breaker-tally', 'aria-live': 'polite' }),
  )
}

function renderNow() {
  const shown = document.getElementById('breaker-picture')
  if (shown) replace(shown, picture(), facts(), strip())
  if (document.getElementById('breaker-flow')) renderTraffic()
}

function renderTraffic() {
  const flowButton = byId('breaker-flow')
  flowButton.textContent = t(isFlowing.get() ? 'stopTraffic' : 'startTraffic')
  flowButton.setAttribute('aria-pressed', String(isFlowing.get()))
  const outcomes = Object.entries(tally.get())
  const tags = outcomes.map(([outcome, count]) => h('span', { class: 'tag' }, `${outcome} × ${count}`))
  replaceIfChanged(byId('breaker-tally'), ...tags)
  const [fault] = faults.get()
  const text = fault ? t('faultNow', { fault: JSON.stringify({ ...fault, path: undefined }) }) : t('noFault')
  replaceIfChanged(byId('breaker-fault'), text)
}

function render() {
  const now = h('div', { id: 'breaker-picture' })
  if (about.get()?.simulated === false) {
    replace(byId('panel-breaker'), h('p', { class: 'notice' }, t('notSimulated')), now)
  } else {
    replace(
      byId('panel-breaker'),
      h('p', { class: 'muted' }, t('breakerNote')),
      now,
      h('h2', {}, t('breakIt')),
      controls(),
      h('p', { class: 'muted', id: 'breaker-fault' }),
      h('h2', {}, t('traffic')),
      traffic(),
    )
  }
  renderNow()
}

export function startBreaker() {
  for (const store of [breaker, tally, faults, isFlowing]) store.subscribe(renderNow)
  about.subscribe(render)
  language.subscribe(render)
  tab.subscribe((now) => {
    if (now !== 'breaker') stopFlow()
  })
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stopFlow()
  })
  window.setInterval(flow, TRAFFIC_MS)
  render()
}

/** What was set before the page was opened. */
export async function readFaults() {
  const answer = await control('faults', undefined, { method: 'GET', quiet: true })
  if (answer.ok) faults.set(answer.body.faults)
}

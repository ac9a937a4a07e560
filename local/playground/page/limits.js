/**
 * The panel of rate limits: the buckets that answers report, as they drain and fill again.
 *
 * @typedef {import('./rate-limit-fields.js').Bucket} Bucket
 * @typedef {{ at: number, level: number }} Sample `at` in seconds.
 * @typedef {{ bucket: Bucket, samples: Sample[] }} History
 */
import { button, byId, h, replace, replaceIfChanged } from './dom.js'
import { lastAnswer, send } from './http.js'
import { language, t } from './language.js'
import { COLOURS, plot } from './plot.js'
import { buckets, refilled } from './rate-limit-fields.js'
import { session } from './session.js'
import { createStore } from './store.js'
import { tab } from './tabs.js'

const SECONDS = 60
const DRAWN_MS = 250
/** Requests at the same time: a browser opens six connections. */
const PARALLEL = 5

/**
 * By name.
 *
 * @type {Map<string, History>}
 */
const histories = new Map()
/** How often each status was answered to the last bulk. */
const tally = createStore(/** @type {Record<string, number>} */ ({}))

function seconds() {
  return performance.now() / 1000
}

/** @param {import('./http.js').Answer | null} answer */
function take(answer) {
  if (!answer) return
  for (const bucket of buckets(answer.headers.get('ratelimit-policy'), answer.headers.get('ratelimit'))) {
    const at = seconds()
    const known = histories.get(bucket.name)
    // As full as it was until this answer, and what is left of it.
    const before = known ? levelAt(known, at) : bucket.burst
    const samples = [...(known?.samples ?? []), { at, level: before }, { at, level: bucket.left }]
    const first = samples.findIndex((sample) => sample.at > at - 2 * SECONDS)
    histories.set(bucket.name, { bucket, samples: samples.slice(Math.max(0, first)) })
  }
  draw()
}

/**
 * @param {History} history
 * @param {number} at
 */
function levelAt({ bucket, samples }, at) {
  const last = samples.findLast((sample) => sample.at <= at)
  return last ? refilled(bucket, last.level, at - last.at) : bucket.burst
}

/** @param {History} history */
function points(history) {
  const { bucket, samples } = history
  const now = seconds()
  const shown = samples.filter(({ at }) => at > now - SECONDS)
  /** @type {{ at: number, level: number }[]} */
  const all = [{ at: now - SECONDS, level: levelAt(history, now - SECONDS) }]
  for (const sample of [...shown, { at: now, level: levelAt(history, now) }]) {
    const last = all.at(-1)
    // The moment when it was full again, where the line has a corner.
    const missing = last ? ((bucket.burst - last.level) * bucket.window) / bucket.burst : 0
    if (last && last.at + missing < sample.at) all.push({ at: last.at + missing, level: bucket.burst })
    all.push(sample)
  }
  return all.map(({ at, level }) => ({ at: at - now, share: level / bucket.burst }))
}

/** @param {number} count */
async function sendMany(count) {
  tally.set({})
  const token = session()?.token
  const path = token ? '/api/v1/user/info' : '/api/v1/config/playground'
  let left = count
  const worker = async () => {
    while (left > 0) {
      left -= 1
      const { status } = await send({ method: 'GET', path, quiet: true, ...(token ? { token } : {}) })
      tally.update((now) => ({ ...now, [status]: (now[status] ?? 0) + 1 }))
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
}

function draw() {
  if (tab.get() !== 'limits') return
  const list = [...histories.values()]
  const lines = list.map((history) => ({ name: history.bucket.name, points: points(history) }))
  const now = seconds()
  const words = list.map(
    (history) => `${history.bucket.name} ${Math.floor(levelAt(history, now))}/${history.bucket.burst}`,
  )
  replace(byId('limits-plot'), plot(lines, SECONDS, `${t('limits')}: ${words.join(', ') || t('none')}`))
  replace(byId('limits-legend'), ...list.map((history, index) => legend(history, index, now)))
}

/**
 * @param {History} history
 * @param {number} index
 * @param {number} now
 */
function legend(history, index, now) {
  const { name, burst, window } = history.bucket
  const rate = (burst / window) * 60
  return h(
    'tr',
    { 'data-bucket': name },
    h('th', { scope: 'row' }, h('span', { class: `swatch line-${index % COLOURS}` }), h('code', {}, name)),
    h('td', {}, h('b', {}, Math.floor(levelAt(history, now))), ` / ${burst}`),
    h('td', { class: 'muted' }, t('perMinute', { rate: Math.round(rate) })),
    h('td', { class: 'muted' }, t(`bucket_${/** @type {'user'} */ (name in KNOWN ? name : 'other')}`)),
  )
}

const KNOWN = {
  user: 1,
  session: 1,
  refresh: 1,
  login: 1,
  'login-failures': 1,
  guest: 1,
  wechat: 1,
  avatar: 1,
  export: 1,
}

function renderTally() {
  const shown = document.getElementById('limits-tally')
  if (!shown) return
  const statuses = Object.entries(tally.get())
  replaceIfChanged(shown, ...statuses.map(([status, count]) => h('span', { class: 'tag' }, `${status} × ${count}`)))
}

function render() {
  replace(
    byId('panel-limits'),
    h('p', { class: 'muted' }, t('limitsNote')),
    h('div', { id: 'limits-plot' }),
    h('table', { class: 'legend' }, h('tbody', { id: 'limits-legend' })),
    h(
      'div',
      { class: 'toolbar' },
      button(t('sendMany', { count: 10 }), () => sendMany(10), { 'data-action': 'send-10' }),
      button(t('sendMany', { count: 60 }), () => sendMany(60), { class: 'button primary', 'data-action': 'send-60' }),
      h('output', { id: 'limits-tally', 'aria-live': 'polite' }),
    ),
  )
  renderTally()
  draw()
}

export function startLimits() {
  lastAnswer.subscribe(take)
  tally.subscribe(renderTally)
  language.subscribe(render)
  tab.subscribe(draw)
  window.setInterval(draw, DRAWN_MS)
  render()
}

/** Lines over the last minute. */
import { svg } from './dom.js'
import { t } from './language.js'

const WIDTH = 640
const HEIGHT = 240
const LEFT = 50
const RIGHT = 8
const TOP = 10
const BOTTOM = 24
/** Colours are classes `line-0` … `line-5`. */
export const COLOURS = 6

/**
 * @typedef {{ at: number, share: number }} Point `at` in seconds before now, as a negative number; `share` from 0 to 1.
 * @typedef {{ name: string, points: Point[] }} Line
 */

/**
 * @param {Line[]} lines
 * @param {number} seconds How far back it goes.
 * @param {string} label What it shows, in words.
 */
export function plot(lines, seconds, label) {
  const x = (/** @type {number} */ at) => LEFT + ((seconds + at) / seconds) * (WIDTH - LEFT - RIGHT)
  const y = (/** @type {number} */ share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)
  const curves = lines.map(({ points }, index) => {
    const path = points.map(({ at, share }) => `${x(at).toFixed(1)},${y(share).toFixed(1)}`).join(' ')
    return svg('polyline', { class: `line line-${index % COLOURS}`, points: path })
  })
  return svg(
    'svg',
    { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label },
    grid(x, y, seconds),
    ...curves,
  )
}

/**
 * @param {(at: number) => number} x
 * @param {(share: number) => number} y
 * @param {number} seconds
 */
function grid(x, y, seconds) {
  const across = [0, 0.5, 1].flatMap((share) => [
    svg('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
    svg('text', { x: LEFT - 6, y: y(share) + 4, 'text-anchor': 'end' }, `${share * 100} %`),
  ])
  const times = [-seconds, -seconds / 2, 0]
  const down = times.map((at, index) => {
    const anchor = ['start', 'middle', 'end'][index] ?? 'middle'
    const text = at === 0 ? t('now') : t('secondsAgo', { seconds: -at })
    return svg('text', { x: x(at), y: HEIGHT - 6, 'text-anchor': anchor }, text)
  })
  return svg('g', {}, ...across, ...down)
}

/** Light and dark: as the system has it, unless one is chosen. */
import { createStore } from './store.js'

/** @typedef {'auto' | 'light' | 'dark'} Theme */

const KEY = 'playground-theme'
/** @type {Theme[]} */
const THEMES = ['auto', 'light', 'dark']

/** @returns {Theme} */
function remembered() {
  const kept = localStorage.getItem(KEY)
  return THEMES.find((theme) => theme === kept) ?? 'auto'
}

export const theme = createStore(remembered())

/** The next one of the three. */
export function nextTheme() {
  theme.update((now) => THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'auto')
}

/** @param {Theme} chosen */
function apply(chosen) {
  document.documentElement.dataset.theme = chosen
  localStorage.setItem(KEY, chosen)
}

apply(theme.get())
theme.subscribe(apply)

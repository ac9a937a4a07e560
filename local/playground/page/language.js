/** The page's language: the browser's, unless one is chosen. */
import { en, zh } from './messages.js'
import { createStore } from './store.js'

/**
 * @typedef {'zh' | 'en'} Language
 * @typedef {keyof typeof zh} Message
 */

const KEY = 'playground-language'

/** @returns {Language} */
function preferred() {
  const kept = localStorage.getItem(KEY)
  if (kept === 'zh' || kept === 'en') return kept
  for (const tag of navigator.languages) {
    const name = tag.slice(0, 2).toLowerCase()
    if (name === 'zh' || name === 'en') return name
  }
  return 'en'
}

export const language = createStore(preferred())

export function switchLanguage() {
  language.update((now) => (now === 'zh' ? 'en' : 'zh'))
  localStorage.setItem(KEY, language.get())
}

/**
 * A text of the page. `{name}` in it stands for one of the values.
 *
 * @param {Message} message
 * @param {Record<string, string | number>} [values]
 */
export function t(message, values = {}) {
  const text = (language.get() === 'zh' ? zh : en)[message]
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
}

/** For `Accept-Language`: what the backend tells users is in the page's language, too. */
export function acceptLanguage() {
  return language.get() === 'zh' ? 'zh-CN' : 'en'
}

/** Translates what stands in `index.html`. */
function translate() {
  document.documentElement.lang = acceptLanguage()
  document.title = t('title')
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = t(/** @type {Message} */ (element.getAttribute('data-text')))
  }
  for (const element of document.querySelectorAll('[data-label]')) {
    element.setAttribute('aria-label', t(/** @type {Message} */ (element.getAttribute('data-label'))))
  }
}

/** Translates the page now and whenever the language changes. */
export function startTranslating() {
  translate()
  language.subscribe(translate)
}

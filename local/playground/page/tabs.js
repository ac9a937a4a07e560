/** The panels on the right (ARIA authoring practices: tabs with automatic activation). */
import { createStore } from './store.js'

export const tab = createStore('requests')

/** @param {string} name */
export function showTab(name) {
  tab.set(name)
}

export function startTabs() {
  const buttons = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('[role=tab]'))]
  const nameOf = (/** @type {HTMLElement} */ button) => button.id.replace('tab-', '')
  const show = (/** @type {string} */ name) => {
    for (const button of buttons) {
      const isShown = nameOf(button) === name
      button.setAttribute('aria-selected', String(isShown))
      button.tabIndex = isShown ? 0 : -1
      if (isShown) button.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    }
    for (const panel of document.querySelectorAll('[role=tabpanel]')) {
      panel.toggleAttribute('hidden', panel.id !== `panel-${name}`)
    }
  }
  buttons.forEach((button, index) => {
    button.addEventListener('click', () => showTab(nameOf(button)))
    button.addEventListener('keydown', (event) => {
      const places = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: buttons.length - 1 }
      const place = places[/** @type {keyof typeof places} */ (event.key)]
      if (place === undefined) return
      event.preventDefault()
      const next = buttons[(place + buttons.length) % buttons.length]
      next?.focus()
      next?.click()
    })
  })
  tab.subscribe(show)
  show(tab.get())
}

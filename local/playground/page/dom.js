/**
 * Elements are built by calls, never from text: nothing that an answer contains can become markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Properties
 */

const SVG = 'http://www.w3.org/2000/svg'

/**
 * An element. `on…` are listeners; `true` and `false` set and leave out an attribute.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  fill(element, properties, children)
  return element
}

/**
 * The same for pictures.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS(SVG, tag)
  fill(element, properties, children)
  return element
}

/**
 * @param {Element} element
 * @param {Properties} properties
 * @param {Child[]} children
 */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2).toLowerCase(), value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value))
  }
  element.append(...nodes(children))
}

/** @param {Child[]} children */
function nodes(children) {
  /** @type {(Node | string)[]} */
  const found = []
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue
    found.push(typeof child === 'number' ? String(child) : child)
  }
  return found
}

/** What an element with the focus is known by among the elements that take its place. */
const MARKS = ['data-action', 'data-item', 'name', 'id']

/**
 * Puts these in place of an element's children. The focus stays where it was.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function replace(element, ...children) {
  const refocus = focusIn(element)
  element.replaceChildren(...nodes(children))
  refocus()
}

/**
 * The same, unless they say what is there already: a screen reader reads out what an `aria-live` element gets.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function replaceIfChanged(element, ...children) {
  const next = document.createElement('div')
  next.append(...nodes(children))
  if (next.textContent !== element.textContent) replace(element, ...next.childNodes)
}

/** @param {Element} element */
function focusIn(element) {
  const focused = document.activeElement
  if (!focused || !element.contains(focused)) return () => {}
  const mark = MARKS.find((name) => focused.hasAttribute(name))
  if (!mark) return () => {}
  const selector = `[${mark}="${CSS.escape(focused.getAttribute(mark) ?? '')}"]`
  const place = [...element.querySelectorAll(selector)].indexOf(focused)
  return () => {
    const next = element.querySelectorAll(selector)[place]
    if (next instanceof HTMLElement) next.focus({ preventScroll: true })
  }
}

/**
 * An element of `index.html`.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id)
  if (!element) throw new Error(`no #${id}`)
  return element
}

/**
 * A button.
 *
 * @param {string} label
 * @param {() => void} onClick
 * @param {Properties} [properties]
 */
export function button(label, onClick, properties = {}) {
  return h('button', { type: 'button', class: 'button', ...properties, onClick }, label)
}

/**
 * A list to choose from.
 *
 * @param {[value: string, label: string][]} choices
 * @param {Properties} properties
 */
export function choice(choices, properties) {
  const options = choices.map(([value, label]) => h('option', { value }, label))
  return h('select', properties, ...options)
}

/** A headless Chromium, and pages that must do nothing wrong. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { SCREENSHOTS } from './backend.mjs'

/**
 * @typedef {import('playwright-core').Browser} Browser
 * @typedef {import('playwright-core').Page} Page
 * @typedef {import('playwright-core').BrowserContextOptions} Options
 */

/** The browser's program; scripts/playground.sh finds it. */
const CHROMIUM = process.env.CHROMIUM ?? ''

/** Why tests in a browser are skipped; `false` where there is one. */
export const skip = CHROMIUM === '' && 'no Chromium on this machine (scripts/tools/chromium.sh)'

const axe = createRequire(import.meta.url).resolve('axe-core')

/** @returns {Promise<Browser>} */
export function startBrowser() {
  // Chromium refuses its sandbox to root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return chromium.launch({ executablePath: CHROMIUM, args })
}

/**
 * What a page did that it may not: errors, and requests to others.
 *
 * @param {Page} page
 * @param {string} origin
 */
function watch(page, origin) {
  /** @type {string[]} */
  const wrong = []
  page.on('pageerror', (error) => wrong.push(`uncaught: ${error.message}`))
  page.on('console', (message) => {
    // The browser itself reports each answer of 400 and above; those are what the page shows.
    const isAnswer = /^Failed to load resource: the server responded with a status of [45]\d\d/.test(message.text())
    const isOfApi = message.location().url.startsWith(`${origin}/api/v1/`)
    if (['error', 'warning'].includes(message.type()) && !(isAnswer && isOfApi)) wrong.push(message.text())
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (!['blob:', 'data:'].includes(url.protocol) && url.origin !== origin) wrong.push(`request to ${request.url()}`)
  })
  return wrong
}

/**
 * Does something with a page of its own, and fails if the page did something wrong.
 *
 * @param {Browser} browser
 * @param {string} url
 * @param {Options} options
 * @param {(page: Page) => Promise<void>} work
 */
export async function withPage(browser, url, options, work) {
  const context = await browser.newContext(options)
  try {
    const { origin } = new URL(url)
    // A file has no origin.
    if (origin !== 'null') await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin })
    const page = await context.newPage()
    const wrong = watch(page, origin)
    await page.goto(url)
    await work(page)
    assert.deepEqual(wrong, [])
  } finally {
    await context.close()
  }
}

/**
 * @param {Page} page
 * @param {string} name
 * @param {boolean} [fullPage]
 */
export async function screenshot(page, name, fullPage = false) {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage, animations: 'disabled' })
}

/**
 * Nothing is wider than the page.
 *
 * @param {Page} page
 * @param {string} what
 */
export async function assertFits(page, what) {
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth])
  assert.ok((widths[0] ?? 0) <= (widths[1] ?? 0), `${what} is ${widths[0]} wide on a screen of ${widths[1]}`)
}

/**
 * axe-core finds nothing: labels, roles, contrast.
 *
 * @param {Page} page
 * @param {string} what
 */
export async function assertAccessible(page, what) {
  const { readFileSync } = await import('node:fs')
  await page.evaluate(readFileSync(axe, 'utf8'))
  const found = await page.evaluate(async () => {
    // @ts-expect-error: what the line above has defined
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] })
    return violations.map((/** @type {any} */ one) => {
      const [node] = one.nodes
      return `${one.id}: ${node.html} ${node.failureSummary}`
    })
  })
  assert.deepEqual(found, [], what)
}

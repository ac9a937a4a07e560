/** How the page looks: both languages, light and dark, on a desk and on a phone. Screenshots are in target/playground. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBackend } from './kit/backend.mjs'
import { assertAccessible, assertFits, screenshot, skip, startBrowser, withPage } from './kit/browser.mjs'

/** @typedef {import('playwright-core').Page} Page */

const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } }
const LOCALES = { zh: 'zh-CN', en: 'en-US' }
/** The limits last: afterwards there is nothing left of them. */
const PANELS = ['requests', 'tokens', 'rows', 'breaker', 'log', 'users', 'limits']
const PEOPLE = ['alice', 'bob', 'carol', 'david', 'erin', 'frank', 'grace', 'heidi']
/** What the first button says. */
const LOGIN = { zh: '登录', en: 'Log in' }

/** @type {import('./kit/backend.mjs').Backend} */
let backend
/** @type {import('playwright-core').Browser} */
let browser

before(async () => {
  if (skip) return
  backend = await startBackend({ RATE_LIMIT_LOGIN: 'off' })
  browser = await startBrowser()
})

after(async () => {
  await browser?.close()
  await backend?.stop()
})

/**
 * Somebody of their own for each look, whose limits are not used up.
 *
 * @param {Page} page
 * @param {string} person
 */
async function use(page, person) {
  await page.locator('input[name=other]').fill(person)
  await page.keyboard.press('Enter')
  for (const action of ['login', 'nickname', 'avatar', 'phone', 'decrypt']) {
    await page.locator('#toast').evaluate((toast) => toast.replaceChildren())
    await page.locator(`[data-action="${action}"]`).click()
    await page.waitForFunction(() => document.getElementById('toast')?.textContent !== '')
    assert.equal(
      await page.locator('#toast.failed').count(),
      0,
      `${action}: ${await page.locator('#toast').textContent()}`,
    )
  }
}

/**
 * Until a panel shows what it is for.
 *
 * @type {Record<string, (page: Page) => Promise<void>>}
 */
const SHOWN = {
  requests: (page) => page.locator('.exchange').first().waitFor(),
  tokens: (page) => page.locator('#remaining').waitFor(),
  rows: (page) => page.locator('.row').first().waitFor(),
  async limits(page) {
    await page.locator('[data-action=send-60]').click()
    await page.locator('#limits-tally').filter({ hasText: '429' }).waitFor()
  },
  breaker: (page) => page.locator('#breaker-state').waitFor(),
  log: (page) => page.locator('.log-line').first().waitFor(),
  async users(page) {
    const become = page.locator('[data-action=become-admin]')
    const row = page.locator('tr[data-user]').first()
    await become.or(row).first().waitFor()
    if (await become.isVisible()) await become.click()
    await row.waitFor()
  },
}

for (const [language, locale] of Object.entries(LOCALES)) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const look = `${language}-${colorScheme}-${size}`
      test(`it looks right: ${look}`, { skip, timeout: 120_000 }, () =>
        withPage(browser, backend.url, { locale, colorScheme, viewport }, async (page) => {
          const login = LOGIN[/** @type {keyof typeof LOGIN} */ (language)]
          await page.getByRole('button', { name: login, exact: true }).waitFor()
          assert.equal(await page.evaluate(() => document.documentElement.lang), language === 'zh' ? 'zh-CN' : 'en')
          await screenshot(page, `${look}-start`)
          await use(page, PEOPLE.pop() ?? look)
          for (const panel of PANELS) {
            await page.locator(`#tab-${panel}`).click()
            await SHOWN[panel]?.(page)
            await assertFits(page, `${look} ${panel}`)
            await screenshot(page, `${look}-${panel}`, size === 'phone')
            await assertAccessible(page, `${look} ${panel}`)
          }
        }),
      )
    }
  }
}

test('language and appearance are switched, and remembered', { skip, timeout: 120_000 }, () =>
  withPage(browser, backend.url, { locale: 'zh-CN', colorScheme: 'light', viewport: SIZES.desktop }, async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await background()
    await page.locator('#switch-language').click()
    await page.getByRole('tab', { name: 'Breaker' }).waitFor()
    assert.equal(await page.title(), 'weapp-serverless playground')
    await page.locator('#switch-theme').click()
    await page.locator('#switch-theme', { hasText: 'Light' }).waitFor()
    await page.locator('#switch-theme').click()
    await page.locator('#switch-theme', { hasText: 'Dark' }).waitFor()
    const dark = await background()
    assert.notEqual(dark, light)
    await page.reload()
    await page.getByRole('tab', { name: 'Breaker' }).waitFor()
    assert.equal(await background(), dark)
    await page.locator('#switch-language').click()
    await page.getByRole('tab', { name: '熔断' }).waitFor()
  }),
)

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const look = `docs-${colorScheme}-${size}`
    test(`it looks right: ${look}`, { skip, timeout: 120_000 }, () =>
      withPage(browser, `${backend.url}/docs`, { locale: 'en-US', colorScheme, viewport }, async (page) => {
        await page.locator('details').first().waitFor()
        await assertFits(page, look)
        await screenshot(page, look)
        for (const id of ['login', 'listUsers']) await page.locator(`#${id} > summary`).click()
        await assertFits(page, look)
        await assertAccessible(page, look)
        await page.locator('#login').scrollIntoViewIfNeeded()
        await screenshot(page, `${look}-open`)
      }),
    )
  }
}

/**
 * The report of `make load`, as a file in a browser without a network: it says all by itself, and looks right in light
 * and dark, on a desk and on a phone. Screenshots are in target/playground.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { assertAccessible, assertFits, screenshot, skip, startBrowser, withPage } from './kit/browser.mjs'

const WORKSPACE = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const BINARY = resolve(process.env.BENCH_BINARY || join(WORKSPACE, 'target/debug/bench'))
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } }

/** @type {string} */
let folder
/** @type {string} */
let url
/** @type {import('playwright-core').Browser} */
let browser

before(
  async () => {
    if (skip) return
    folder = mkdtempSync(join(tmpdir(), 'weapp-load-'))
    const load = spawnSync(BINARY, ['load', 'short', '--folder', folder], { encoding: 'utf8' })
    assert.equal(load.status, 0, load.stderr)
    url = pathToFileURL(join(folder, 'index.html')).href
    browser = await startBrowser()
  },
  { timeout: 300_000 },
)

after(async () => {
  await browser?.close()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const look = `load-${colorScheme}-${size}`
    test(`the report of the load test looks right: ${look}`, { skip, timeout: 120_000 }, () =>
      withPage(browser, url, { colorScheme, viewport, offline: true }, async (page) => {
        assert.equal(await page.title(), 'Load test')
        // Each plot has a size and lines with points in them.
        const plots = await page.locator('svg').evaluateAll((all) =>
          all.map((plot) => {
            const { width, height } = plot.getBoundingClientRect()
            return width > 200 && height > 80 && plot.querySelector('polyline[points]') !== null
          }),
        )
        assert.ok(plots.length >= 10 && plots.every(Boolean), `plots: ${plots}`)
        await screenshot(page, look, true)
        await assertFits(page, look)
        await assertAccessible(page, look)
      }),
    )
  }
}

test('the report follows light and dark', { skip, timeout: 120_000 }, () =>
  withPage(browser, url, { colorScheme: 'light', viewport: SIZES.desktop, offline: true }, async (page) => {
    const colours = () =>
      page.evaluate(() => {
        const text = document.querySelector('svg text')
        return [getComputedStyle(document.body).backgroundColor, text && getComputedStyle(text).fill]
      })
    const light = await colours()
    await page.emulateMedia({ colorScheme: 'dark' })
    const dark = await colours()
    assert.notEqual(dark[0], light[0])
    assert.notEqual(dark[1], light[1])
  }),
)

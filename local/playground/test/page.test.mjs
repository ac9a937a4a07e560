/** The page in a real browser, against a real backend: each button once, and what it does. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBackend } from './kit/backend.mjs'
import { skip, startBrowser, withPage } from './kit/browser.mjs'

/** @typedef {import('playwright-core').Page} Page */

const OPTIONS = { locale: 'zh-CN', viewport: { width: 1280, height: 900 } }
/** A PNG of one pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** @type {import('./kit/backend.mjs').Backend} */
let backend
/** @type {import('playwright-core').Browser} */
let browser
/** The buttons that some test pressed, and those that any page had. */
const pressed = new Set()
const seen = new Set()

before(async () => {
  if (skip) return
  // So that the breaker can be watched without waiting.
  backend = await startBackend({ BREAKER_OPEN_MS: '1500', BREAKER_OPEN_MAX_MS: '1500' })
  browser = await startBrowser()
})

after(async () => {
  await browser?.close()
  await backend?.stop()
})

/**
 * @param {string} name
 * @param {(page: Page) => Promise<void>} work
 */
function pageTest(name, work) {
  test(name, { skip, timeout: 120_000 }, () => withPage(browser, backend.url, OPTIONS, work))
}

/** @param {Page} page */
async function note(page) {
  const names = await page.evaluate(() =>
    [...document.querySelectorAll('[data-action]')].map((element) => element.getAttribute('data-action')),
  )
  for (const name of names) seen.add(name)
}

/**
 * Presses a button that is shown.
 *
 * @param {Page} page
 * @param {string} action
 * @param {string} [within]
 */
async function press(page, action, within = '') {
  await note(page)
  await page.locator(`${within} [data-action="${action}"]:visible`).first().click()
  pressed.add(action)
}

/**
 * Presses a button of the phone, and awaits what the phone says.
 *
 * @param {Page} page
 * @param {string} action
 * @param {string | RegExp} said
 */
async function act(page, action, said) {
  await page.evaluate(() => {
    const toast = document.getElementById('toast')
    if (toast) toast.textContent = ''
  })
  await press(page, action)
  await page.locator('#toast').filter({ hasText: said }).waitFor()
}

/**
 * @param {Page} page
 * @param {string} name
 */
async function open(page, name) {
  await page.locator(`#tab-${name}`).click()
  await page.locator(`#panel-${name}`).waitFor()
}

/**
 * @param {Page} page
 * @param {string} name
 */
async function become(page, name) {
  await page.locator('input[name=other]').fill(name)
  await page.keyboard.press('Enter')
  await page.locator(`input[name=person][value="${name}"]:checked`).waitFor({ state: 'attached' })
}

/**
 * @param {Page} page
 * @param {string} selector
 * @param {string | RegExp} hasText
 */
function awaitText(page, selector, hasText) {
  return page.locator(selector).filter({ hasText }).first().waitFor()
}

pageTest('a login is shown as it was sent and answered, as code, and in the log', async (page) => {
  await act(page, 'login', '登录成功')
  await awaitText(page, '.exchange', /POST \/api\/v1\/user\/login\s*200/)
  await awaitText(page, '#panel-requests pre', /"isNewUser": true/)
  await press(page, 'copy')
  const copied = () => page.evaluate(() => navigator.clipboard.readText())
  assert.match(await copied(), /^POST \/api\/v1\/user\/login HTTP\/1\.1\n/)
  await page.getByRole('button', { name: 'wx.*' }).click()
  await awaitText(page, '#panel-requests pre', /wx\.request\(\{/)
  await page.getByRole('button', { name: 'curl' }).click()
  await awaitText(page, '#panel-requests pre', /curl -i -X POST/)
  await page.getByRole('button', { name: 'SDK' }).click()
  await awaitText(page, '#panel-requests pre', 'await client.login()')
  await page.getByRole('button', { name: 'HTTP' }).click()
  await press(page, 'show-log')
  await awaitText(page, '#log-lines summary', 'POST /api/v1/user/login → 200')
  assert.equal(await page.locator('#log-lines details').count(), 1)
  await open(page, 'requests')
  await press(page, 'clear-requests')
  await awaitText(page, '#panel-requests', '还没有请求')
})

pageTest('the log is filtered, paused and cleared', async (page) => {
  await act(page, 'login', '登录成功')
  await act(page, 'profile', '资料已读取')
  await open(page, 'log')
  await page.locator('input[name=text]').fill('user/info')
  await awaitText(page, '#log-lines summary', 'GET /api/v1/user/info → 200')
  const routes = await page.locator('#log-lines .what').allTextContents()
  assert.ok(
    routes.every((route) => route.includes('/user/info')),
    routes.join(),
  )
  await page.locator('select[name=level]').selectOption('ERROR')
  await awaitText(page, '#log-lines', '没有符合条件的日志')
  await page.locator('select[name=level]').selectOption('INFO')
  await page.locator('#log-lines summary').first().click()
  await awaitText(page, '#log-lines pre', /"route": "\/api\/v1\/user\/info"/)
  await page.locator('#log-lines .link').first().click()
  await page.waitForFunction(() => document.querySelectorAll('#log-lines details').length === 1)
  await press(page, 'pause')
  await page.locator('input[name=request-id]').fill('')
  const count = await page.locator('#log-count').textContent()
  await act(page, 'profile', '资料已读取')
  await page.waitForResponse((response) => response.url().includes('/_playground/live'))
  assert.equal(await page.locator('#log-count').textContent(), count)
  await press(page, 'pause')
  await page.waitForFunction((before) => document.getElementById('log-count')?.textContent !== before, count)
  await press(page, 'clear-log')
  await awaitText(page, '#log-lines', '没有符合条件的日志')
})

pageTest('the profile is read and changed, with an avatar', async (page) => {
  await become(page, 'dora')
  await act(page, 'profile', '请先登录')
  await act(page, 'login', '登录成功')
  await act(page, 'profile', '资料已读取')
  await page.locator('input[name=nickname]').fill('朵拉')
  await act(page, 'nickname', '昵称已保存')
  await awaitText(page, '#card-name', '朵拉')
  await page.locator('input[name=nickname]').fill('x')
  await act(page, 'nickname', 'invalid_request')
  await act(page, 'avatar', '头像已更换')
  await pictureOf(page, 256)
  await awaitText(page, '.exchange', /POST \/_objects\/avatars\s*204/)
  await page.locator('#picture').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: PIXEL })
  await pictureOf(page, 1)
})

/**
 * Until the phone shows a picture that is so wide.
 *
 * @param {Page} page
 * @param {number} width
 */
function pictureOf(page, width) {
  const isShown = (/** @type {number} */ width) => {
    const picture = /** @type {HTMLImageElement | null} */ (document.querySelector('#card img'))
    return picture?.naturalWidth === width
  }
  return page.waitForFunction(isShown, width)
}

pageTest('a phone number is bound, and two accounts with one number are merged', async (page) => {
  await become(page, 'erin')
  await act(page, 'login', '登录成功')
  await page.locator('input[name=number]').fill('13800138000')
  await act(page, 'phone', '手机号已绑定')
  await awaitText(page, '#card-note', '13800138000')
  const first = await userId(page)
  await become(page, 'finn')
  await act(page, 'login', '登录成功')
  await page.locator('input[name=number]').fill('13800138000')
  await press(page, 'phone')
  await press(page, 'cancel', 'dialog')
  await awaitText(page, '#toast', '未绑定')
  await press(page, 'phone')
  await awaitText(page, 'dialog', '合并账号')
  await press(page, 'confirm', 'dialog')
  await awaitText(page, '#toast', '账号已合并')
  await awaitText(page, '#card-note', '13800138000')
  assert.equal(await userId(page), first)
})

/** @param {Page} page */
async function userId(page) {
  await open(page, 'tokens')
  const text = (await page.locator('#panel-tokens pre').nth(1).textContent()) ?? ''
  return JSON.parse(text).sub
}

pageTest('data is decrypted, and a push of WeChat changes the profile', async (page) => {
  await become(page, 'gina')
  await act(page, 'login', '登录成功')
  await act(page, 'decrypt', /今日步数：[\d,]+/)
  await page.locator('select[name=kind]').selectOption('userinfo')
  await act(page, 'decrypt', '微信用户')
  await act(page, 'nickname', '昵称已保存')
  await awaitText(page, '#card-name', '小明')
  await act(page, 'push', '后端已处理')
  await awaitText(page, '#card-name', '微信用户')
  await awaitText(page, '.exchange', /微信POST \/api\/v1\/wechat\/callback200/)
})

pageTest('tokens are decoded, and refreshed', async (page) => {
  await act(page, 'login', '登录成功')
  await open(page, 'tokens')
  await awaitText(page, '#panel-tokens pre', /"typ": "at\+jwt"/)
  await awaitText(page, '#remaining', /7,?1\d\d 秒后过期/)
  await awaitText(page, '#panel-tokens pre', /"counter": 0/)
  const left = await page.locator('#remaining').textContent()
  await page.waitForFunction((before) => document.getElementById('remaining')?.textContent !== before, left)
  await act(page, 'refresh', '令牌已刷新')
  await awaitText(page, '#panel-tokens pre', /"counter": 1/)
})

pageTest('rows are shown without secrets, also those of a session that has ended', async (page) => {
  await become(page, 'hugo')
  await open(page, 'rows')
  await awaitText(page, '#panel-rows', '登录后')
  await act(page, 'login', '登录成功')
  await awaitText(page, '.row summary', 'PROFILE')
  await awaitText(page, '.row summary', 'SESSION')
  await awaitText(page, '.row tr', /sessionKey\s*不显示/)
  await press(page, 'read-rows')
  await act(page, 'logout', '已退出登录')
  await awaitText(page, '.row tr', /revokedAt/)
  await open(page, 'tokens')
  await awaitText(page, '#panel-tokens', '会话已结束')
})

pageTest('an account is deleted after a second question', async (page) => {
  await become(page, 'iris')
  await act(page, 'login', '登录成功')
  await open(page, 'rows')
  await awaitText(page, '.row summary', 'PROFILE')
  await press(page, 'delete')
  await press(page, 'cancel', 'dialog')
  await awaitText(page, '#toast', '已取消')
  await press(page, 'delete')
  await press(page, 'confirm', 'dialog')
  await awaitText(page, '#toast', '账号已注销')
  await awaitText(page, '#card-name', '未登录')
  await page.waitForFunction(() => document.querySelectorAll('.row').length <= 1)
})

pageTest('buckets drain and fill again', async (page) => {
  await become(page, 'jack')
  await act(page, 'login', '登录成功')
  await open(page, 'limits')
  await press(page, 'send-10')
  await awaitText(page, '#limits-tally', '200 × 10')
  await press(page, 'send-60')
  await awaitText(page, '#limits-tally', /429 × \d/)
  const left = async () => Number(await page.locator('[data-bucket=user] b').textContent())
  const low = await left()
  assert.ok(low < 20, `${low} of 40`)
  await page.waitForFunction((low) => Number(document.querySelector('[data-bucket=user] b')?.textContent) > low, low)
  assert.ok((await page.locator('.plot polyline').count()) >= 2)
})

pageTest('the breaker opens when WeChat fails, and recovers', async (page) => {
  await open(page, 'breaker')
  await awaitText(page, '#breaker-state', '关闭')
  await press(page, 'inject')
  await awaitText(page, '#breaker-fault', '"status":500')
  await press(page, 'burst')
  await awaitText(page, '#breaker-state', /打开|半开/)
  await awaitText(page, '#breaker-tally', /503 unavailable/)
  await awaitText(page, '#connection', /打开|半开/)
  await press(page, 'mend')
  await awaitText(page, '#breaker-fault', '微信正常')
  await press(page, 'flow')
  await awaitText(page, '#breaker-state', '关闭')
  await awaitText(page, '#breaker-tally', /200 ×/)
  await press(page, 'flow')
  await awaitText(page, '[data-action=flow]', '持续登录')
})

pageTest('an administrator lists, finds and changes users', async (page) => {
  for (let number = 0; number < 12; number += 1) await backend.logIn(`user-${number}`)
  await become(page, 'kate')
  await open(page, 'users')
  await awaitText(page, '#panel-users', '登录后')
  await act(page, 'login', '登录成功')
  await page.locator('input[name=number]').fill('13900139000')
  await act(page, 'phone', '手机号已绑定')
  await press(page, 'become-admin')
  await page.locator('tr[data-user]').nth(9).waitFor()
  await press(page, 'more-users')
  await page.locator('tr[data-user]').nth(12).waitFor()
  const row = page.locator('tr[data-user]').filter({ hasNotText: '当前用户' }).first()
  const id = await row.getAttribute('data-user')
  const other = `tr[data-user="${id}"]`
  await press(page, 'role', other)
  await awaitText(page, `${other} .tag`, 'admin')
  await press(page, 'status', other)
  await awaitText(page, `${other} .tag`, 'disabled')
  await page.locator('#panel-users select[name=status]').selectOption('disabled')
  await page.waitForFunction(() => document.querySelectorAll('tr[data-user]').length === 1)
  await page.locator('#panel-users select[name=status]').selectOption('')
  await page.locator('tr[data-user]').nth(9).waitFor()
  await page.locator('input[name=phone]').fill('13900139000')
  await press(page, 'search')
  await page.waitForFunction(() => document.querySelectorAll('tr[data-user]').length === 1)
  await awaitText(page, 'tr[data-user]', '139****9000')
  await press(page, 'list')
  await page.locator('tr[data-user]').nth(9).waitFor()
})

pageTest('tabs and people are chosen with the keyboard', async (page) => {
  await page.locator('#tab-requests').focus()
  await page.keyboard.press('ArrowRight')
  assert.equal(await page.locator('#tab-tokens').getAttribute('aria-selected'), 'true')
  await page.keyboard.press('End')
  await page.locator('#panel-users').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'tab-users')
  await page.locator('input[name=person][value=alice]').focus()
  await page.keyboard.press('ArrowRight')
  await page.locator('input[name=person][value=bob]:checked').waitFor({ state: 'attached' })
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('value')), 'bob')
})

pageTest('a session stays when the page is loaded again', async (page) => {
  await become(page, 'luke')
  await act(page, 'login', '登录成功')
  await page.reload()
  await awaitText(page, '#card-name', '微信用户')
  await act(page, 'profile', '资料已读取')
})

pageTest('a backend that is gone is said to be', async (page) => {
  await page.route('**/_playground/live*', (route) => route.fulfill({ body: '' }))
  await awaitText(page, '#connection', '无响应')
  await page.unroute('**/_playground/live*')
  await awaitText(page, '#connection', '后端正常')
})

test('it works by another name of this machine', { skip, timeout: 120_000 }, () =>
  withPage(browser, backend.url.replace('127.0.0.1', 'localhost'), OPTIONS, async (page) => {
    await become(page, 'mona')
    await act(page, 'login', '登录成功')
    // The store's address has the other name: the page goes to its own.
    await act(page, 'avatar', '头像已更换')
    await pictureOf(page, 256)
  }),
)

test('with a real WeChat there is no phone, and the rest is there', { skip, timeout: 120_000 }, async () => {
  const real = await startBackend({ WECHAT_BASE_URL: 'http://127.0.0.1:1' })
  try {
    await withPage(browser, real.url, OPTIONS, async (page) => {
      await awaitText(page, '#people', '没有模拟的手机')
      assert.equal(await page.locator('#actions [data-action]').count(), 0)
      await open(page, 'breaker')
      await awaitText(page, '#breaker-state', '关闭')
      await fetch(`${real.url}/health`)
      await open(page, 'log')
      await awaitText(page, '#log-lines summary', 'GET /health → 200')
    })
  } finally {
    await real.stop()
  }
})

test('each button was pressed', { skip }, () => {
  assert.ok(seen.size > 20, [...seen].join())
  assert.deepEqual(
    [...seen].filter((name) => !pressed.has(name)),
    [],
  )
})

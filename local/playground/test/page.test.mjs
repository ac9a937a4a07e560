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
  test(name, { skip, timeout: 120_000 }, () =>
    withPage(browser, backend.url, OPTIONS, async (page) => {
      await work(page)
      await note(page)
    }),
  )
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

/**
 * Until the page was drawn with what has arrived.
 *
 * @param {Page} page
 */
function drawn(page) {
  return page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
}

pageTest('a login is shown as it was sent and answered, as code, and in the log', async (page) => {
  await act(page, 'login', '登录成功')
  await awaitText(page, '.exchange', /POST \/api\/v1\/user\/login\s*200/)
  await awaitText(page, '#panel-requests pre', /"isNewUser": true/)
  await press(page, 'copy')
  const copied = () => page.evaluate(() => navigator.clipboard.readText())
  assert.match(await copied(), /^POST \/api\/v1\/user\/login HTTP\/1\.1\n/)
  await press(page, 'view-wx')
  await awaitText(page, '#panel-requests pre', /wx\.request\(\{/)
  await press(page, 'view-curl')
  await awaitText(page, '#panel-requests pre', /curl -i -X POST/)
  await press(page, 'view-sdk')
  await awaitText(page, '#panel-requests pre', 'await client.login()')
  await press(page, 'view-http')
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
  await press(page, 'only-request')
  await page.waitForFunction(() => document.querySelectorAll('#log-lines details').length === 1)
  await press(page, 'pause')
  await page.locator('input[name=request-id]').fill('')
  const count = await page.locator('#log-count').textContent()
  const before = await backend.live()
  const read = page.waitForResponse(async (response) => {
    if (!response.url().includes('/_playground/live')) return false
    const { log } = (await response.json()).data
    return log.next > before.log.next && log.lines.some((/** @type {string} */ line) => line.includes('/user/info'))
  })
  await act(page, 'profile', '资料已读取')
  await read
  await drawn(page)
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
  const chooser = page.waitForEvent('filechooser')
  await press(page, 'choose-picture')
  await (await chooser).setFiles({ name: 'a.png', mimeType: 'image/png', buffer: PIXEL })
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
  await awaitText(page, '#panel-rows', '表中没有此用户的数据')
})

test('an account is called back while it waits for its deletion', { skip, timeout: 120_000 }, async () => {
  const cooling = await startBackend({ DELETION_COOLING_DAYS: '7' })
  try {
    await withPage(browser, cooling.url, OPTIONS, async (page) => {
      await act(page, 'login', '登录成功')
      const id = await userId(page)
      await press(page, 'delete')
      await press(page, 'confirm', 'dialog')
      await awaitText(page, '#toast', '注销已受理')
      await press(page, 'login')
      await awaitText(page, 'dialog', /撤销注销？.*之前可以撤销/)
      await press(page, 'cancel', 'dialog')
      await awaitText(page, '#toast', 'account_deletion_pending')
      await awaitText(page, '#card-name', '未登录')
      await press(page, 'login')
      await press(page, 'confirm', 'dialog')
      await awaitText(page, '#toast', '登录成功')
      assert.equal(await userId(page), id)
    })
  } finally {
    await cooling.stop()
  }
})

pageTest('any name is a person', async (page) => {
  for (const name of ['constructor', '__proto__']) {
    await become(page, name)
    await awaitText(page, '#card-name', '未登录')
    await act(page, 'login', '登录成功')
    await page.reload()
    await page.locator(`input[name=person][value="${name}"]:checked`).waitFor({ state: 'attached' })
    await act(page, 'profile', '资料已读取')
  }
})

pageTest('an answer goes to the user who asked, not to the one who was chosen meanwhile', async (page) => {
  const { arrived } = await hold(page, '**/api/v1/user/login')
  await become(page, 'nora')
  await press(page, 'login')
  const release = await arrived
  await become(page, 'otto')
  release()
  await awaitText(page, '#toast', 'nora: 登录成功')
  await awaitText(page, '#card-name', '未登录')
  await act(page, 'profile', '请先登录')
  await become(page, 'nora')
  await awaitText(page, '#card-name', '微信用户')
  await act(page, 'profile', '资料已读取')
})

pageTest('rows that come late are not shown to another user', async (page) => {
  await become(page, 'pete')
  await act(page, 'login', '登录成功')
  await become(page, 'quin')
  await act(page, 'login', '登录成功')
  await open(page, 'tokens')
  const own = JSON.parse((await page.locator('#panel-tokens pre').nth(1).textContent()) ?? '').sub
  await become(page, 'pete')
  const { arrived } = await hold(page, '**/_playground/rows')
  await page.locator('#tab-rows').click()
  const release = await arrived
  await become(page, 'quin')
  await awaitText(page, '.row summary', own)
  const late = page.waitForEvent('requestfinished', (request) => request.url().endsWith('/_playground/rows'))
  release()
  await late
  await drawn(page)
  const shown = await page.locator('.row summary').allTextContents()
  assert.ok(shown.length > 0 && shown.some((summary) => summary.includes(own)), shown.join())
})

/**
 * Holds back the answer to the first of these requests.
 *
 * @param {Page} page
 * @param {string} url
 * @returns {Promise<{ arrived: Promise<() => void> }>} Once it was sent: what lets its answer through.
 */
async function hold(page, url) {
  /** @type {(release: () => void) => void} */
  let arrive = () => {}
  const arrived = new Promise((/** @type {(release: () => void) => void} */ found) => {
    arrive = found
  })
  const handler = async (/** @type {import('playwright-core').Route} */ route) => {
    const response = await route.fetch()
    const released = new Promise((/** @type {(nothing: void) => void} */ release) => arrive(release))
    await released
    await route.fulfill({ response })
  }
  await page.route(url, handler, { times: 1 })
  return { arrived }
}

pageTest('no text becomes markup', async (page) => {
  const markup = '<img src=x onerror="alert(1)">'
  await become(page, 'rosa')
  await act(page, 'login', '登录成功')
  await page.locator('input[name=nickname]').fill(markup)
  await act(page, 'nickname', '昵称已保存')
  await awaitText(page, '#card-name', markup)
  await awaitText(page, '#panel-requests pre', 'onerror')
  await open(page, 'rows')
  await awaitText(page, '.row tr', markup)
  await open(page, 'users')
  await press(page, 'become-admin')
  await awaitText(page, 'tr[data-user]', markup)
  await open(page, 'log')
  assert.equal(await page.locator('[onerror], img[src=x]').count(), 0)
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
  await press(page, 'flow')
  await awaitText(page, '[data-action=flow]', '停止登录')
  await open(page, 'log')
  await open(page, 'breaker')
  await awaitText(page, '[data-action=flow]', '持续登录')
})

pageTest('logins that go on by themselves end after a while, and when nobody sees them', async (page) => {
  await page.clock.install()
  await page.reload()
  await open(page, 'breaker')
  await press(page, 'flow')
  await awaitText(page, '[data-action=flow]', '停止登录')
  await page.clock.fastForward('01:50')
  await awaitText(page, '[data-action=flow]', '停止登录')
  await page.clock.fastForward('00:15')
  await awaitText(page, '[data-action=flow]', '持续登录')
  await press(page, 'flow')
  await awaitText(page, '[data-action=flow]', '停止登录')
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: true })
    document.dispatchEvent(new Event('visibilitychange'))
  })
  await awaitText(page, '[data-action=flow]', '持续登录')
})

pageTest('the breaker is unknown without shared state, and said to be forced', async (page) => {
  /** @type {object | null} */
  let breaker = null
  await answerLive(page, (live) => ({ ...live, breaker }))
  await open(page, 'breaker')
  await awaitText(page, '#connection.unknown', '熔断器未知')
  await awaitText(page, '#panel-breaker', '共享状态不可用')
  assert.equal(await page.locator('.node.now').count(), 0)
  breaker = { state: 'open', forced: true, retryAfterMs: 0, calls: 0, failed: 0, slow: 0 }
  await awaitText(page, '#connection.open', '打开')
  await awaitText(page, '#breaker-forced', '手动设定')
})

pageTest('a slow call is as slow as the settings say', async (page) => {
  await page.route('**/_playground/about', async (route) => {
    const response = await route.fetch()
    const { data } = await response.json()
    await route.fulfill({ response, json: { data: { ...data, breaker: { ...data.breaker, slowMs: 700 } } } })
  })
  await page.reload()
  await open(page, 'breaker')
  await page.locator('select[name=latency]').selectOption('900')
  assert.match((await page.locator('select[name=latency] option:checked').textContent()) ?? '', /^0\.9 秒/)
  await press(page, 'inject')
  await awaitText(page, '#breaker-fault', '"latencyMs":900')
  await press(page, 'mend')
  await awaitText(page, '#breaker-fault', '微信正常')
})

pageTest('a name that is being typed stays while the page learns about the backend', async (page) => {
  /** @type {(value?: unknown) => void} */
  let release = () => {}
  const released = new Promise((resolve) => {
    release = resolve
  })
  await page.route('**/_playground/about', async (route) => {
    await released
    await route.continue()
  })
  await page.reload()
  await page.locator('input[name=other]').fill('nora')
  release()
  await awaitText(page, '#version', /^v\d/)
  await drawn(page)
  assert.equal(await page.locator('input[name=other]').inputValue(), 'nora')
})

pageTest('after a restart of the backend its log is read from the start', async (page) => {
  let instance = 'first'
  let version = '1.0.0'
  const asked = new Set()
  await page.route('**/_playground/about', async (route) => {
    const response = await route.fetch()
    const { data } = await response.json()
    await route.fulfill({ response, json: { data: { ...data, version } } })
  })
  await answerLive(page, (live, since) => {
    asked.add(`${instance} ${since}`)
    return { ...live, instance, log: { ...live.log, lost: instance === 'second' ? 7 : 0 } }
  })
  await page.reload()
  await act(page, 'login', '登录成功')
  await open(page, 'log')
  await awaitText(page, '#log-lines summary', 'POST /api/v1/user/login → 200')
  await press(page, 'clear-log')
  await awaitText(page, '#log-lines', '没有符合条件的日志')
  await press(page, 'pause')
  instance = 'second'
  version = '2.0.0'
  await awaitText(page, '#log-lines summary', 'POST /api/v1/user/login → 200')
  await awaitText(page, '[data-action=pause]', '暂停')
  await awaitText(page, '#log-lost', /… \d+ 行/)
  await awaitText(page, '#version', 'v2.0.0')
  assert.ok(asked.has('second 0'), [...asked].join())
})

/**
 * Changes what the backend says of itself.
 *
 * @param {Page} page
 * @param {(live: any, since: string | null) => object} change
 */
function answerLive(page, change) {
  return page.route('**/_playground/live*', async (route) => {
    const response = await route.fetch()
    const { data } = await response.json()
    const since = new URL(route.request().url()).searchParams.get('since')
    await route.fulfill({ response, json: { data: change(data, since) } })
  })
}

pageTest('language and appearance are switched', async (page) => {
  await press(page, 'language')
  await page.getByRole('tab', { name: 'Breaker' }).waitFor()
  await press(page, 'theme')
  await awaitText(page, '#switch-theme', 'Light')
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
  await awaitText(page, `${other} .tag`, '管理员')
  await press(page, 'status', other)
  await awaitText(page, `${other} .tag`, '已停用')
  await open(page, 'requests')
  await press(page, 'view-sdk')
  await awaitText(page, '#panel-requests pre', "adminApi(client).users.update('")
  await open(page, 'users')
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

pageTest('without an answer the page says so', async (page) => {
  await become(page, 'sven')
  await act(page, 'login', '登录成功')
  await open(page, 'users')
  // A status that the browser itself does not report.
  await page.route('**/_playground/administrator', (route) => route.fulfill({ body: '', status: 300 }))
  await press(page, 'become-admin')
  await awaitText(page, '#panel-users .notice', '没有收到应答')
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

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { EnvVersion } from './kit'
import { Backend, Device, Fail, until } from './kit'

let backend: Backend
let users = 0

const device = (version: EnvVersion = 'develop', at: Backend = backend) => {
  users += 1
  return new Device(at, `demo-${users}`, version)
}

const PICTURE = { avatarUrl: 'http://tmp/picture.png' }

before(async () => {
  backend = await Backend.start({ CONSENTS: 'privacy:3,terms:2' })
})
after(() => backend.stop())

/** Opens a page whose use of personal information the user agrees to. */
async function openAgreeing(phone: Device, path: string) {
  const page = phone.open(path)
  await page.tap('#privacy .agree')
  return page
}

test('the first page logs in silently and shows the user', async () => {
  const phone = device()
  const page = phone.open('index')
  assert.match(page.text, /正在登录/)
  await page.shows('编号', '未绑定', '2 项待同意', `模拟微信用户 ${phone.phone.user}`)
  phone.start()
  await phone.open('index').shows('编号')
  assert.equal(phone.phone.count('/api/v1/user/login'), 1)
})

test('a nickname is saved and shown on the first page', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.does('.form', 'submit', { value: { nickname: ' 小明 ' } })
  await until(
    () => phone.toasts.includes('已保存'),
    () => page.text,
  )
  assert.equal(page.attribute('.nickname', 'value'), '小明')
  await phone.open('index').shows('小明')
})

test('a nickname that is too short is explained and can be corrected', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.does('.form', 'submit', { value: { nickname: '明' } })
  await page.shows('2 到 32 个可见字符')
  assert(!page.has('#notice .notice'))
  await page.does('.form', 'submit', { value: { nickname: '小明' } })
  await until(
    () => phone.toasts.includes('已保存'),
    () => page.text,
  )
  assert.doesNotMatch(page.text, /可见字符/)
})

test('an avatar and a gender are chosen and shown', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.does('.avatar-button', 'chooseavatar', PICTURE)
  await until(
    () => phone.toasts.includes('头像已更新'),
    () => page.text,
  )
  await page.does('.gender', 'change', { value: '2' })
  await page.shows('性别 女')
  assert.match(String(page.attribute('.avatar-small', 'src')), /^http/)
  const index = phone.open('index')
  await index.shows('编号')
  const source = String(index.attribute('.avatar', 'src'))
  assert.equal(source, page.attribute('.avatar-small', 'src'))
  assert.equal((await fetch(source)).headers.get('content-type'), 'image/png')
})

test('a phone number is bound, and the conflict with another account merges both', async () => {
  const number = '13800000001'
  const first = device()
  const page = await openAgreeing(first, 'phone')
  await page.does('.simulated', 'input', { value: number })
  await page.tap('.bind')
  await page.shows('138****0001')
  const profile = first.open('profile')
  await profile.does('.form', 'submit', { value: { nickname: '先来的' } })
  await until(
    () => first.toasts.includes('已保存'),
    () => profile.text,
  )

  const second = device()
  const other = await openAgreeing(second, 'phone')
  await other.does('.simulated', 'input', { value: number })
  second.answers = [false]
  await other.tap('.bind')
  await until(
    () => second.asked.length === 1,
    () => other.text,
  )
  await other.shows('未绑定手机号')
  second.answers = [true]
  await other.tap('.bind')
  await other.shows('138****0001')
  assert.deepEqual(second.asked, ['合并账号', '合并账号'])
  await second.open('index').shows('先来的', '138****0001')
})

test('sessions are listed and ended', async () => {
  const phone = device()
  await phone.open('index').shows('编号')
  const elsewhere = new Device(backend, phone.phone.user)
  await elsewhere.open('index').shows('编号')
  phone.start()
  const page = phone.open('sessions')
  await page.shows('本机', '下线')
  phone.answers = [false]
  await page.tap('.end')
  phone.answers = [true]
  await page.tap('.end')
  await until(
    () => phone.toasts.includes('已下线') && !page.has('.end'),
    () => page.text,
  )
  assert.deepEqual(phone.asked, ['下线设备', '下线设备'])
})

test('all other sessions are ended at once, also ones ended elsewhere meanwhile', async () => {
  const phone = device()
  await phone.open('index').shows('编号')
  for (const _ of [1, 2, 3]) await new Device(backend, phone.phone.user).open('index').shows('编号')
  phone.start()
  const page = phone.open('sessions')
  await page.shows('下线其他设备')
  let isFirst = true
  phone.phone.interference = {
    before: ({ method }) => {
      if (method !== 'DELETE' || !isFirst) return undefined
      isFirst = false
      const data = JSON.stringify({ code: 404, reason: 'not_found', message: '', data: null })
      return { statusCode: 404, data, header: {} }
    },
  }
  phone.answers = [true]
  await page.tap('.end-others')
  await until(
    () => phone.toasts.includes('已下线'),
    () => page.text,
  )
  assert.equal(phone.phone.sent.filter(({ method }) => method === 'DELETE').length, 3)
  // The one whose end was invented is still there.
  assert(page.has('.end') && !page.has('.end-others'))
})

test('a logout waits for the user, also after a restart', async () => {
  const phone = device()
  const page = phone.open('index')
  await page.shows('编号')
  phone.answers = [true]
  await page.tap('.sign-out')
  await page.shows('您已退出登录')
  phone.start()
  const again = phone.open('index')
  await again.shows('您已退出登录')
  const sessions = phone.open('sessions')
  await sessions.isLoaded
  assert.deepEqual(phone.opened, ['/pages/index/index'])
  await again.tap('.sign-in')
  await again.shows('编号')
  assert.equal(phone.phone.count('/api/v1/user/login'), 2)
})

test('consents are given, withdrawn and kept on record', async () => {
  const phone = device()
  const page = phone.open('consents')
  await page.shows('隐私政策 待同意 第 3 版', '用户协议 待同意 第 2 版')
  phone.answers = [true]
  await page.tap('.agree')
  await page.shows('隐私政策 已同意', '隐私政策 第 3 版 同意于')
  phone.answers = [true]
  await page.tap('.withdraw')
  await page.shows('隐私政策 待同意', '撤回于')
  assert.deepEqual(phone.asked, ['隐私政策', '撤回同意'])
})

test('nothing personal is asked for after privacy is refused', async () => {
  for (const path of ['profile', 'phone']) {
    const phone = device()
    const page = phone.open(path)
    await page.tap('#privacy .refuse')
    await page.shows('尚未同意')
    assert(!page.has('.avatar-button') && !page.has('.nickname') && !page.has('.bind'))
    await page.tap('.ask-again')
    await page.tap('#privacy .agree')
    await until(
      () => page.has('.save') || page.has('.bind'),
      () => page.text,
    )
    assert.equal(phone.phone.to('/api/v1/user/consents/privacy').length, 1)
    const again = phone.open(path)
    await until(
      () => again.has('.save') || again.has('.bind'),
      () => again.text,
    )
    assert(!again.has('#privacy .agree'))
  }
})

test('the consent that WeChat waits for is answered', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.shows('保存')
  const refused = phone.usePrivateData()
  await page.tap('#privacy .refuse')
  assert.deepEqual(await refused, { event: 'disagree' })
  const both = [phone.usePrivateData(), phone.usePrivateData()]
  await page.does('#privacy .agree', 'agreeprivacyauthorization')
  for (const answer of await Promise.all(both)) assert.deepEqual(answer, { event: 'agree', buttonId: 'agree-button' })
  assert(!page.has('#privacy .agree'))
  const left = phone.usePrivateData()
  page.close()
  assert.deepEqual(await left, { event: 'disagree' })
})

test('a consent that WeChat requires is asked for with its own button', async () => {
  const phone = device()
  await (await openAgreeing(phone, 'profile')).shows('保存')
  phone.needsAuthorization = true
  const page = phone.open('phone')
  await page.tap('#privacy .refuse')
  await page.shows('尚未同意')
  await page.tap('.ask-again')
  await page.does('#privacy .agree', 'agreeprivacyauthorization')
  await page.shows('绑定手机号')
})

test('a consent that can not be recorded can be given again', async () => {
  const phone = device()
  const page = phone.open('profile')
  await until(
    () => page.has('#privacy .agree'),
    () => page.text,
  )
  phone.phone.isOffline = true
  await page.tap('#privacy .agree')
  await page.shows('网络不可用')
  assert(!page.has('.avatar-button'))
  phone.goOnline()
  await page.shows('保存')
})

test('everything stored is exported, sent, and not left on the phone', async () => {
  const phone = device()
  const page = phone.open('account')
  await page.tap('.export')
  await page.shows('已生成')
  await page.tap('.share')
  const [exported] = JSON.parse(phone.shared[0] || '[]')
  assert.match(exported.user.id, /^[0-9a-f-]{36}$/)
  page.close()
  assert.equal(phone.written.size, 0)
})

test('an export that comes after the page was left leaves no file', async () => {
  const phone = device()
  await phone.open('index').shows('编号')
  const page = phone.open('account')
  let open = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  phone.phone.interference = {
    after: ({ path }) => (path.startsWith('/api/v1/user/export') ? passed : undefined),
  }
  const exporting = page.call('exportData')
  page.close()
  open()
  await exporting
  assert.equal(phone.phone.count('/api/v1/user/export'), 1)
  assert.equal(phone.written.size, 0)
})

test('a phone without space for an export says so', async () => {
  const phone = device()
  const page = phone.open('account')
  phone.isFull = true
  await assert.rejects(Promise.resolve(page.call('exportData')), /exceeded/)
  await page.shows('操作失败', '重试')
  phone.isFull = false
  await page.tap('#notice .retry')
  await page.shows('已生成')
})

test('an account is deleted after a second question only', async () => {
  const phone = device()
  const page = phone.open('account')
  phone.answers = [true, false]
  await page.tap('.remove')
  await until(
    () => phone.asked.length === 2,
    () => page.text,
  )
  assert.equal(phone.phone.count('/api/v1/user'), 0)
  phone.answers = [true, true]
  await page.tap('.remove')
  await until(
    () => phone.opened.length === 1,
    () => page.text,
  )
  assert.deepEqual(phone.asked.slice(2), ['注销账号', '确认注销？'])
  assert.deepEqual(phone.opened, ['/pages/index/index?deletion=deleted'])
  const index = phone.open('index', phone.query)
  await index.shows('账号已注销')
  const before = phone.phone.count('/api/v1/user/login')
  await index.tap('.sign-in')
  await index.shows('编号')
  assert.equal(phone.phone.count('/api/v1/user/login'), before + 1)
})

test('a deletion is called back within its cooling period', async () => {
  const cooling = await Backend.start({ DELETION_COOLING_DAYS: '7' })
  try {
    const phone = device('develop', cooling)
    const page = phone.open('account')
    phone.answers = [true, true]
    await page.tap('.remove')
    await until(
      () => phone.opened.length === 1,
      () => page.text,
    )
    const told = phone.open('index', phone.query)
    await told.shows('账号正在注销', '此前可以撤销注销')
    assert.doesNotMatch(told.text, /NaN/)
    await Promise.resolve(told.call('onPullDownRefresh'))
    await told.shows('此前可以撤销注销')
    phone.start()
    const index = phone.open('index')
    await index.tap('.sign-in')
    await index.shows('账号正在注销', '此前可以撤销注销')
    await index.tap('.call-back')
    await index.shows('编号')
    assert.deepEqual(phone.toasts, ['已撤销注销'])
  } finally {
    await cooling.stop()
  }
})

test('a deletion that is called back too late is not said to be called back', async () => {
  const cooling = await Backend.start({ DELETION_COOLING_DAYS: '7' })
  try {
    const boss = device('develop', cooling)
    await boss.open('index').shows('编号')
    cooling.command('admin', boss.id)
    const { token } = JSON.parse(String(boss.phone.stored.get('weapp-session')))

    const phone = device('develop', cooling)
    await phone.open('index').shows('编号')
    const { id } = phone
    phone.answers = [true, true]
    await phone.open('account').tap('.remove')
    await until(
      () => phone.opened.length === 1,
      () => 'the deletion',
    )
    const index = phone.open('index', phone.query)
    await index.shows('此前可以撤销注销')
    // An administrator does not wait for the end of the cooling period.
    const headers = { Authorization: `Bearer ${token}` }
    const ended = await fetch(`${cooling.url}/api/v1/users/${id}`, { method: 'DELETE', headers })
    assert.equal(ended.status, 200)
    await index.tap('.call-back')
    await index.shows('编号')
    assert.deepEqual(phone.toasts, ['已过撤销期限，已创建新账号'])
    assert.notEqual(phone.id, id)
  } finally {
    await cooling.stop()
  }
})

test('a deletion that goes on is not said to be done, and leaves a way to log in', async () => {
  const phone = device()
  await phone.open('index').shows('编号')
  phone.phone.interference = {
    before: ({ method, path }) => {
      if (method !== 'DELETE' || path !== '/api/v1/user') return undefined
      const data = JSON.stringify({ code: 202, message: '', data: { status: 'deleting', saga: '0'.repeat(32) } })
      return { statusCode: 202, data, header: {} }
    },
  }
  phone.answers = [true, true]
  await phone.open('account').tap('.remove')
  await until(
    () => phone.opened.length === 1,
    () => 'the deletion',
  )
  const index = phone.open('index', phone.query)
  await index.shows('账号正在注销', '您的数据正在删除')
  assert(!index.has('.call-back'))
  await index.tap('.sign-in')
  await index.shows('编号')
})

test('a deletion that did not reach the backend is not made later by itself', async () => {
  const phone = device()
  await phone.open('index').shows('编号')
  const page = phone.open('account')
  phone.phone.isOffline = true
  phone.answers = [true, true]
  await page.tap('.remove')
  await page.shows('网络不可用')
  assert(!page.has('#notice .retry'), 'only the button, with its questions')
  const sent = phone.phone.sent.length
  phone.goOnline()
  await phone.open('sessions').shows('本机')
  assert.equal(phone.phone.sent.slice(sent).filter(({ method }) => method === 'DELETE').length, 0)
})

test('what a user did without a network is repeated by the user only', async () => {
  const phone = device()
  const page = phone.open('consents')
  await page.shows('隐私政策 待同意')
  phone.phone.isOffline = true
  phone.answers = [true]
  await page.tap('.agree')
  await page.shows('网络不可用', '重试')
  phone.goOnline()
  await phone.open('sessions').shows('本机')
  assert.match(page.text, /隐私政策 待同意/)
  await page.tap('#notice .retry')
  await page.shows('隐私政策 已同意')
})

test('an account that is deleted on another phone sends every page to the first one', async () => {
  const cooling = await Backend.start({ DELETION_COOLING_DAYS: '7' })
  try {
    const phone = device('develop', cooling)
    await phone.open('index').shows('编号')
    const other = new Device(cooling, phone.phone.user)
    await other.open('index').shows('编号')
    other.answers = [true, true]
    await other.open('account').tap('.remove')
    await until(
      () => other.opened.length === 1,
      () => 'the deletion',
    )
    phone.start()
    await phone.open('sessions').isLoaded
    assert.deepEqual(phone.opened, ['/pages/index/index'])
    await phone.open('index').shows('账号正在注销', '撤销注销')
  } finally {
    await cooling.stop()
  }
})

test('a logout without a network is one on this phone', async () => {
  const phone = device()
  const page = phone.open('index')
  await page.shows('编号')
  phone.phone.isOffline = true
  phone.answers = [true]
  await page.tap('.sign-out')
  await page.shows('您已退出登录')
  assert.deepEqual(phone.toasts, ['已在本机退出'])
  assert(!page.has('#notice .notice'))
})

test('a nickname that WeChat emptied does not delete the one before', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.does('.form', 'submit', { value: { nickname: '' } })
  await page.shows('请输入昵称')
  await page.does('.form', 'submit', { value: { nickname: '小明' } })
  await until(
    () => phone.toasts.length === 1,
    () => page.text,
  )
  phone.answers = [false, true]
  await page.does('.form', 'submit', { value: { nickname: '' } })
  await page.shows('请输入昵称')
  await page.does('.form', 'submit', { value: { nickname: '' } })
  await until(
    () => phone.toasts.length === 2,
    () => page.text,
  )
  assert.deepEqual(phone.asked, ['清除昵称', '清除昵称'])
  assert.equal(page.attribute('.nickname', 'value'), '')
  assert.equal(phone.phone.sent.filter(({ method }) => method === 'PUT' || method === 'PATCH').length, 3)
})

test('a picture that was not chosen is not uploaded', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'profile')
  await page.does('.avatar-button', 'chooseavatar', { errMsg: 'chooseAvatar:fail cancel' })
  assert(!page.has('#notice .notice'))
  assert.equal(phone.phone.count('/api/v1/user/avatar'), 0)
})

test('a file that can’t be sent is told of, a change of mind is not', async () => {
  const phone = device()
  const page = phone.open('account')
  await page.tap('.export')
  phone.shareFailure = 'shareFileMessage:fail cancel'
  await page.tap('.share')
  assert.deepEqual(phone.toasts, [])
  phone.shareFailure = 'shareFileMessage:fail can not support'
  await page.tap('.share')
  assert.deepEqual(phone.toasts, ['发送失败，请在手机上重试'])
  // The phone stops the mini-program without a word: the next visit removes the file.
  assert.equal(phone.written.size, 1)
  phone.start()
  phone.open('account')
  assert.equal(phone.written.size, 0)
})

test('an old WeChat without the privacy contract says so', async () => {
  const phone = device()
  phone.lacks = ['openPrivacyContract', 'getPrivacySetting', 'onNeedPrivacyAuthorization']
  phone.start()
  const page = phone.open('profile')
  await page.tap('#privacy .link')
  assert.deepEqual(phone.toasts, ['请升级微信后查看'])
  await page.tap('#privacy .agree')
  await page.shows('保存')
})

test('a number of somebody who has not been here for long is taken', async () => {
  const number = '13800000002'
  const first = device()
  const page = await openAgreeing(first, 'phone')
  await page.does('.simulated', 'input', { value: number })
  await page.tap('.bind')
  await page.shows('138****0002')
  await backend.lastSeen(first.id, 100)

  const second = device()
  const other = await openAgreeing(second, 'phone')
  await other.does('.simulated', 'input', { value: number })
  second.answers = [true]
  await other.tap('.bind')
  await other.shows('138****0002')
  assert.deepEqual(second.asked, ['换绑手机号'])
  assert.notEqual(second.id, first.id)
  first.start()
  await first.open('phone').shows('未绑定手机号')
})

test('a number that nothing can be done about is refused, without a way to repeat it', async () => {
  const refusing = await Backend.start({ PHONE_CONFLICT: 'refuse' })
  try {
    const number = '13800000003'
    const bind = async (phone: Device) => {
      const page = phone.open('phone')
      await page.does('.simulated', 'input', { value: number })
      await page.tap('.bind')
      return page
    }
    await (await bind(device('develop', refusing))).shows('138****0003')
    const page = await bind(device('develop', refusing))
    await page.shows('该手机号已绑定其他账号', '未绑定手机号')
    assert(!page.has('#notice .retry'))
  } finally {
    await refusing.stop()
  }
})

test('a simulated number is bound after a failure as well', async () => {
  const phone = device()
  const page = await openAgreeing(phone, 'phone')
  let isFirst = true
  phone.phone.interference = {
    before: ({ path }) => {
      if (!isFirst || !path.endsWith('/phone-code')) return undefined
      isFirst = false
      throw new Fail('request:fail ')
    },
  }
  await page.tap('.bind')
  await page.shows('网络连接失败', '重试')
  await page.tap('#notice .retry')
  await page.shows('****')
  assert.deepEqual(phone.toasts, ['手机号已绑定'])
})

test('without a network the user is told, and the page recovers by itself', async () => {
  const phone = device()
  const page = phone.open('index')
  await page.shows('编号')
  phone.phone.isOffline = true
  page.call('onShow')
  await page.shows('网络不可用，请检查网络设置', '重试', '编号')
  const sessions = phone.open('sessions')
  await sessions.shows('网络不可用')
  assert.doesNotMatch(sessions.text, /正在加载/)
  phone.goOnline()
  await sessions.shows('本机')
  assert.doesNotMatch(sessions.text, /网络不可用/)
})

test('a refused request is repeated when the time has come', async () => {
  const strict = await Backend.start({ RATE_LIMIT_USER: '10/min burst 2' })
  try {
    const phone = device('develop', strict)
    const page = phone.open('index')
    await page.shows('编号')
    page.call('onShow')
    await until(
      () => phone.phone.count('/api/v1/user/info') === 2,
      () => page.text,
    )
    const sessions = phone.open('sessions')
    await sessions.shows('操作过于频繁，请稍后再试', '秒后可重试')
    const sent = phone.phone.sent.length
    await sessions.tap('#notice .retry')
    assert.equal(phone.phone.sent.length, sent)
    await until(
      () => !sessions.text.includes('秒后可重试'),
      () => sessions.text,
    )
    await sessions.tap('#notice .retry')
    await sessions.shows('本机')
  } finally {
    await strict.stop()
  }
})

test('a release asks WeChat for codes, whatever the settings say', async () => {
  const phone = device('release')
  const page = phone.open('index')
  await page.shows('编号')
  assert.doesNotMatch(page.text, /开发模式/)
  assert.equal(phone.phone.codes.length, 1)
  assert.deepEqual(
    phone.phone.sent.filter(({ path }) => path.startsWith('/_wechat')),
    [],
  )
  const bind = await openAgreeing(phone, 'phone')
  await until(
    () => bind.has('.bind'),
    () => bind.text,
  )
  assert.equal(bind.attribute('.bind', 'openType'), 'getRealtimePhoneNumber')
  assert(!bind.has('.simulated'))
  await bind.does('.bind', 'getrealtimephonenumber', { errMsg: 'getRealtimePhoneNumber:fail user deny' })
  assert.deepEqual(phone.toasts, ['未获取手机号'])
  const code = await backend.control('phone-code', { user: phone.phone.user })
  await bind.does('.bind', 'getrealtimephonenumber', code)
  await bind.shows('****')
})

test('another simulated user is another account', async () => {
  const phone = device()
  const page = phone.open('index')
  await page.shows('编号')
  const { text } = page
  phone.answers = [true]
  await page.does('#developer .user', 'change', { value: '1' })
  await page.shows('模拟微信用户 bob', '编号')
  await until(
    () => page.has('.sign-out'),
    () => page.text,
  )
  assert.notEqual(page.text.match(/编号 (\S+)/)?.[1], text.match(/编号 (\S+)/)?.[1])
})

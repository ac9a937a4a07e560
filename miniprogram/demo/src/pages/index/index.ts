import type { User } from 'weapp-serverless-sdk'
import { hasReason, isWeappError } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { maskedPhone, timeText } from '../../utils/format'
import { ask, idle, run, runAgain, toast } from '../../utils/run'

/** 页面显示什么。`deleting`：账号正在删除，或将在 `until` 删除，此前可撤销。 */
type State = 'loading' | 'user' | 'signed-out' | 'deleted' | 'deleting'

const shown = ({ nickname, avatarUrl, phone, id, consentsMissing = [] }: User) => ({
  name: nickname || '微信用户',
  initial: (nickname || '微').slice(0, 1),
  avatarUrl: avatarUrl || '',
  phone: phone ? maskedPhone(phone) : '未绑定',
  shortId: id.slice(-12),
  missing: consentsMissing.length,
})

Page({
  data: {
    ...idle,
    state: 'loading' as State,
    user: null as ReturnType<typeof shown> | null,
    until: '',
  },
  /** 注销后由「账号与数据」打开；`deletion` 见 SDK 的 `Deletion`。 */
  onLoad({ deletion, until }: { deletion?: string; until?: string }) {
    if (!deletion) return
    const state = deletion === 'deleted' ? 'deleted' : 'deleting'
    this.setData({ state, until: until ? timeText(decodeURIComponent(until)) : '' })
  },
  /** 其他页面可能改动了资料，因此每次显示都重新获取；此前的内容保留在页面上。 */
  onShow() {
    if (this.data.state === 'loading' || this.data.state === 'user') return this.load()
    return undefined
  },
  async onPullDownRefresh() {
    await this.load()
    wx.stopPullDownRefresh()
  },
  load() {
    return run(
      this,
      async () => {
        if (await client.isSignedOut()) {
          const { state } = this.data
          this.setData({ user: null, state: state === 'deleted' || state === 'deleting' ? state : 'signed-out' })
          return
        }
        await this.show(client.user.get())
      },
      'read',
    )
  },
  /** 登录和获取资料的结果；正在注销的账号不能登录，但可撤销。 */
  async show(outcome: Promise<User>) {
    try {
      this.setData({ user: shown(await outcome), state: 'user' })
    } catch (error) {
      if (!hasReason(error, 'account_deletion_pending')) throw error
      this.setData({ user: null, state: 'deleting', until: error.data ? timeText(error.data.until) : '' })
    }
  },
  signIn() {
    return run(this, () => this.show(client.login().then(({ user }) => user)))
  },
  callBack() {
    return run(this, async () => {
      const login = client.login({ cancelDeletion: true })
      await this.show(login.then(({ user }) => user))
      // 仍在注销：`show` 已显示。期限已过：账号不在了，登录的是新账号。
      if (this.data.state !== 'user') return
      toast((await login).isNewUser ? '已过撤销期限，已创建新账号' : '已撤销注销')
    })
  },
  async signOut() {
    if (!(await ask('退出登录', '退出后不会自动登录，直到您点击「登录」。', '退出', true))) return
    await run(this, async () => {
      try {
        await client.logout()
      } catch (error) {
        // 没有网络时后端未收到通知，但本机已退出：再试也没有可发送的令牌。
        if (!isWeappError(error)) throw error
        toast('已在本机退出')
      }
      this.setData({ user: null, state: 'signed-out' })
    })
  },
  async userChanged() {
    this.setData({ user: null, state: 'loading' })
    await this.signIn()
  },
  retry() {
    return runAgain(this)
  },
})

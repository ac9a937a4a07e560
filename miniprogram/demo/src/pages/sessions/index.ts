import type { Session } from 'weapp-serverless-sdk'
import { hasReason } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { deviceText, timeText } from '../../utils/format'
import { ask, idle, run, runAgain, toast } from '../../utils/run'

const shown = ({ id, current, userAgent, createdAt, refreshedAt }: Session) => ({
  id,
  current,
  device: deviceText(userAgent),
  created: timeText(createdAt),
  used: timeText(refreshedAt),
})

/** 已在别处下线的不算失败。 */
async function end(id: string): Promise<void> {
  try {
    await client.sessions.end(id)
  } catch (error) {
    if (!hasReason(error, 'not_found')) throw error
  }
}

Page({
  data: {
    ...idle,
    isLoaded: false,
    sessions: [] as ReturnType<typeof shown>[],
    others: 0,
  },
  onLoad() {
    return run(this, () => this.load(), 'read')
  },
  async onPullDownRefresh() {
    await run(this, () => this.load(), 'read')
    wx.stopPullDownRefresh()
  },
  async load() {
    const sessions = (await client.sessions.list()).map(shown)
    this.setData({ isLoaded: true, sessions, others: sessions.filter(({ current }) => !current).length })
  },
  async end({ currentTarget }: WechatMiniprogram.TouchEvent<object, object, { id: string; device: string }>) {
    const { id, device } = currentTarget.dataset
    if (!(await ask('下线设备', `「${device}」将退出登录。`, '下线', true))) return
    await run(this, async () => {
      await end(id)
      await this.load()
      toast('已下线')
    })
  },
  async endOthers() {
    if (!(await ask('下线其他设备', '除本机外的全部设备将退出登录。', '下线', true))) return
    await run(this, async () => {
      // 重新获取：此前打开的页面上可能不是全部。
      for (const { id, current } of await client.sessions.list()) if (!current) await end(id)
      await this.load()
      toast('已下线')
    })
  },
  retry() {
    return runAgain(this)
  },
})

import { client } from '../../utils/client'
import { ask, idle, run, runAgain } from '../../utils/run'

Page({
  data: {
    ...idle,
    exported: null as { filePath: string; size: string } | null,
  },
  exportData() {
    return run(this, async () => {
      const text = JSON.stringify(await client.account.export(), undefined, 2)
      const filePath = `${wx.env.USER_DATA_PATH}/my-data.json`
      wx.getFileSystemManager().writeFileSync(filePath, text, 'utf8')
      const { size } = wx.getFileSystemManager().statSync(filePath) as WechatMiniprogram.Stats
      this.setData({ exported: { filePath, size: `${(size / 1024).toFixed(1)} KB` } })
    })
  },
  /** 微信要求由点击触发，因此与导出是两个按钮。 */
  share() {
    const { exported } = this.data
    if (exported) wx.shareFileMessage({ filePath: exported.filePath, fileName: '我的数据.json' })
  },
  async remove() {
    const consequences = '资料、头像、手机号、登录记录和同意记录将被删除。注销前可先导出数据。'
    if (!(await ask('注销账号', consequences, '继续', true))) return
    if (!(await ask('确认注销？', '注销后无法恢复。', '注销', true))) return
    await run(this, async () => {
      const { until } = await client.account.delete()
      this.discardExport()
      wx.reLaunch({ url: `/pages/index/index?deleted=1${until ? `&until=${encodeURIComponent(until)}` : ''}` })
    })
  },
  /** 导出的文件含个人信息，不留在手机上。 */
  discardExport() {
    const { exported } = this.data
    if (!exported) return
    wx.getFileSystemManager().unlink({ filePath: exported.filePath })
    this.setData({ exported: null })
  },
  onUnload() {
    this.discardExport()
  },
  retry() {
    return runAgain(this)
  },
})

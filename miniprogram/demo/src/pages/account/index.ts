import { client } from '../../utils/client'
import { ask, idle, run, runAgain, toast } from '../../utils/run'

const FILE = `${wx.env.USER_DATA_PATH}/my-data.json`

Page({
  data: {
    ...idle,
    /** 导出的文件的大小。 */
    exported: '',
  },
  isLeft: false,
  onLoad() {
    // 上次被微信结束时可能留有文件。
    this.discardExport()
  },
  exportData() {
    return run(this, async () => {
      const text = JSON.stringify(await client.account.export(), undefined, 2)
      if (this.isLeft) return
      wx.getFileSystemManager().writeFileSync(FILE, text, 'utf8')
      const { size } = wx.getFileSystemManager().statSync(FILE) as WechatMiniprogram.Stats
      this.setData({ exported: `${(size / 1024).toFixed(1)} KB` })
    })
  },
  /** 微信要求由点击触发，因此与导出是两个按钮。 */
  share() {
    wx.shareFileMessage({
      filePath: FILE,
      fileName: '我的数据.json',
      fail: ({ errMsg }) => {
        if (!/cancel/.test(errMsg)) toast('发送失败，请在手机上重试')
      },
    })
  },
  async remove() {
    const consequences = '资料、头像、手机号、登录记录和同意记录将被删除。注销前可先导出数据。'
    if (!(await ask('注销账号', consequences, '继续', true))) return
    if (!(await ask('确认注销？', '注销后无法恢复。', '注销', true))) return
    await run(
      this,
      async () => {
        const { status, until } = await client.account.delete()
        this.discardExport()
        const limit = until ? `&until=${encodeURIComponent(until)}` : ''
        wx.reLaunch({ url: `/pages/index/index?deletion=${status}${limit}` })
      },
      'once',
    )
  },
  /** 导出的文件含个人信息，不留在手机上。 */
  discardExport() {
    wx.getFileSystemManager().unlink({ filePath: FILE, fail: () => undefined })
    this.setData({ exported: '' })
  },
  onUnload() {
    this.isLeft = true
    this.discardExport()
  },
  retry() {
    return runAgain(this)
  },
})

import type { AvatarResult, User } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { needsConsent } from '../../utils/privacy'
import { idle, run, runAgain, toast } from '../../utils/run'

const GENDERS = ['不设置', '男', '女']

Page({
  data: {
    ...idle,
    /** 用户不同意使用个人信息：页面不显示任何个人信息的按钮。 */
    isRefused: false,
    isLoaded: false,
    avatarUrl: '',
    nickname: '',
    genders: GENDERS,
    gender: 0,
    isChecking: false,
  },
  /** 打开页面就征得同意，而不是等用户填写之后。不在 `onShow` 中：选择头像返回时也会触发它。 */
  onLoad() {
    return this.start()
  },
  start() {
    return run(this, async () => {
      if (await needsConsent()) this.selectComponent('#privacy').open()
      else await this.load()
    })
  },
  /** 隐私弹窗的回答；同意之后才读取和填写个人信息。 */
  async answered({ detail }: WechatMiniprogram.CustomEvent<{ isAgreed: boolean }>) {
    this.setData({ isRefused: !detail.isAgreed })
    if (detail.isAgreed && !this.data.isLoaded) await run(this, () => this.load())
  },
  async load() {
    this.show(await client.user.get())
    // 上次上传的头像如在审核中，此时得知结果。
    this.showAvatar(await client.avatar.pending())
  },
  show({ avatarUrl, nickname, gender }: User) {
    this.setData({ isLoaded: true, avatarUrl: avatarUrl || '', nickname: nickname || '', gender: gender || 0 })
  },
  showAvatar(result: AvatarResult | null) {
    if (!result) return
    this.setData({ avatarUrl: result.user.avatarUrl || '', isChecking: result.status === 'checking' })
  },
  chooseAvatar({ detail }: WechatMiniprogram.CustomEvent<{ avatarUrl: string }>) {
    return run(this, async () => {
      this.showAvatar(await client.avatar.upload(detail.avatarUrl))
      toast(this.data.isChecking ? '头像审核中' : '头像已更新')
    })
  },
  /** 微信对 `type="nickname"` 的内容做安全检测，未通过时会清空输入框，因此以提交时的值为准。 */
  save({ detail }: WechatMiniprogram.FormSubmit) {
    const nickname = String(detail.value.nickname || '').trim()
    return run(this, async () => {
      this.show(await client.user.update({ nickname: nickname || null }))
      toast('已保存')
    })
  },
  chooseGender({ detail }: WechatMiniprogram.PickerChange) {
    const gender = Number(detail.value) as 0 | 1 | 2
    return run(this, async () => {
      this.show(await client.user.update({ gender }))
    })
  },
  retry() {
    return runAgain(this)
  },
})

import type { AvatarResult, User } from 'weapp-serverless-sdk'
import { hasReason } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { ask, idle, run, runAgain, toast } from '../../utils/run'

const GENDERS = ['不设置', '男', '女']

Page({
  data: {
    ...idle,
    /** 用户不同意使用个人信息：页面不显示任何个人信息的按钮。 */
    isRefused: false,
    isLoaded: false,
    avatarUrl: '',
    nickname: '',
    nicknameError: '',
    genders: GENDERS,
    gender: 0,
    isChecking: false,
  },
  /** 打开页面就征得同意，而不是等用户填写之后。不在 `onShow` 中：选择头像返回时也会触发它。 */
  onLoad() {
    return this.start()
  },
  start() {
    return run(
      this,
      async () => {
        const isAgreed: boolean = await this.selectComponent('#privacy').ensure()
        this.setData({ isRefused: !isAgreed })
        if (isAgreed) await this.load()
      },
      'read',
    )
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
  /** 用户取消，或未授权时，没有 `avatarUrl`。 */
  chooseAvatar({ detail }: WechatMiniprogram.CustomEvent<{ avatarUrl?: string }>) {
    const { avatarUrl } = detail
    if (!avatarUrl) return undefined
    return run(this, async () => {
      this.showAvatar(await client.avatar.upload(avatarUrl))
      toast(this.data.isChecking ? '头像审核中' : '头像已更新')
    })
  },
  /** 微信对 `type="nickname"` 的内容做安全检测，未通过时会清空输入框，因此以提交时的值为准。 */
  async save({ detail }: WechatMiniprogram.FormSubmit) {
    const nickname = String(detail.value.nickname || '').trim()
    if (!nickname && !(await this.mayClear())) return
    await run(
      this,
      async () => {
        this.setData({ nicknameError: '' })
        try {
          this.show(await client.user.update({ nickname: nickname || null }))
          toast('已保存')
        } catch (error) {
          // 内容本身的问题显示在输入框下方，其他失败由 `run` 提示。
          if (!hasReason(error, 'invalid_request') && !hasReason(error, 'content_risky')) throw error
          this.setData({ nicknameError: error.userMessage })
        }
      },
      // 再次点击「保存」：用户可能已修改昵称。
      'once',
    )
  },
  /** 空的昵称多半不是用户的意思，而是被微信清空的：没有用户的确认，不清除已有的昵称。 */
  async mayClear(): Promise<boolean> {
    const content = '昵称为空，可能是未通过微信检测。要清除原有的昵称吗？'
    if (this.data.nickname && (await ask('清除昵称', content, '清除'))) return true
    this.setData({ nicknameError: '请输入昵称' })
    return false
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

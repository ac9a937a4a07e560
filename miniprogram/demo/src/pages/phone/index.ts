import type { PhoneOffer } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { usesSimulator } from '../../utils/environment'
import { maskedPhone } from '../../utils/format'
import { ask, idle, run, runAgain, toast } from '../../utils/run'
import { phoneCode, simulatePhone } from '../../utils/simulator'

/** 号码属于另一账号时，后端提供的办法。 */
const QUESTIONS = {
  merge: {
    title: '合并账号',
    content: '该手机号已绑定您的另一个账号。合并后将使用该账号，当前账号的资料并入其中，无法撤销。',
    confirm: '合并',
  },
  take: {
    title: '换绑手机号',
    content: '该手机号已绑定另一个长期未使用的账号。换绑后，该账号将不再有手机号。',
    confirm: '换绑',
  },
}

Page({
  data: {
    ...idle,
    /** 用户不同意使用个人信息：页面不显示手机号按钮。 */
    isRefused: false,
    isLoaded: false,
    phone: '',
    usesSimulator,
    simulated: '',
  },
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
    this.show((await client.user.get()).phone)
  },
  show(phone: string | null) {
    this.setData({ isLoaded: true, phone: phone ? maskedPhone(phone) : '' })
  },
  /** 手机号实时验证组件：号码可能带来另一账号，因此不用快速验证组件。用户拒绝时没有 `code`。 */
  bindPhone({ detail }: WechatMiniprogram.CustomEvent<{ code?: string }>) {
    if (!detail.code) {
      toast('未获取手机号')
      return undefined
    }
    const { code } = detail
    return run(this, () => this.bind(code))
  },
  async bind(code: string) {
    const user = await client.phone.bind(code, ({ choice }: PhoneOffer) => {
      const { title, content, confirm } = QUESTIONS[choice]
      return ask(title, content, confirm)
    })
    if (!user) return
    this.show(user.phone)
    toast('手机号已绑定')
  },
  typeSimulated({ detail }: WechatMiniprogram.Input) {
    this.setData({ simulated: detail.value })
  },
  /** 测试号不能使用手机号实时验证组件：由微信模拟器代替。 */
  bindSimulated() {
    return run(this, async () => {
      if (this.data.simulated) await simulatePhone(this.data.simulated)
      await this.bind(await phoneCode())
    })
  },
  retry() {
    return runAgain(this)
  },
})

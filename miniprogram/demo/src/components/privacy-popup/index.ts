import type { ConsentMissing } from '../../utils/privacy'
import { missingConsent, openContract, recordConsent } from '../../utils/privacy'
import { idle, run, runAgain } from '../../utils/run'

type Answered = (isAgreed: boolean) => void

/** 类型声明包把监听者的参数误写为普通的回调结果。 */
interface PrivacyEvents {
  onNeedPrivacyAuthorization?(
    listener: (resolve: (answer: { event: 'agree' | 'disagree'; buttonId?: string }) => void) => void,
  ): void
}

/** 每个弹窗的等待者：页面，以及要求授权的微信接口。用户回答一次，全部继续。 */
const waiting = new WeakMap<object, Set<Answered>>()

/** 隐私同意弹窗。由页面打开（`ensure`），或在用户使用需要授权的功能时由微信要求打开。 */
Component({
  data: { ...idle, missing: null as ConsentMissing | null },
  lifetimes: {
    detached() {
      this.answer(false)
    },
  },
  pageLifetimes: {
    show() {
      // 只有最后登记的监听者会收到调用，因此由当前页面的弹窗登记。
      const { onNeedPrivacyAuthorization } = wx as unknown as PrivacyEvents
      onNeedPrivacyAuthorization?.((resolve) => {
        this.open('wechat', (isAgreed) =>
          resolve(isAgreed ? { event: 'agree', buttonId: 'agree-button' } : { event: 'disagree' }),
        )
      })
    },
  },
  methods: {
    /** 用户是否同意使用个人信息；尚未同意时询问。 */
    async ensure(): Promise<boolean> {
      const missing = await missingConsent()
      return missing ? new Promise<boolean>((answered) => this.open(missing, answered)) : true
    },
    open(missing: ConsentMissing, answered: Answered) {
      waiting.set(this, (waiting.get(this) || new Set()).add(answered))
      this.setData({ missing })
    },
    answer(isAgreed: boolean) {
      const all = waiting.get(this) || new Set()
      waiting.delete(this)
      for (const answered of all) answered(isAgreed)
    },
    /** 微信在用户点击 `agreePrivacyAuthorization` 按钮后触发；微信已授权时为普通点击。 */
    agree() {
      // 弹窗仍开着，用户的回答仍有效：网络恢复后可自动完成。
      return run(
        this,
        async () => {
          await recordConsent()
          this.setData({ missing: null })
          this.answer(true)
        },
        'read',
      )
    },
    refuse() {
      this.setData({ missing: null, notice: null })
      this.answer(false)
    },
    read() {
      openContract()
    },
    retry() {
      return runAgain(this)
    },
    /** 弹窗打开时页面不滚动。 */
    hold() {},
  },
})

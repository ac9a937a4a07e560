import { openContract, recordConsent } from '../../utils/privacy'
import { idle, run, runAgain } from '../../utils/run'

type Resolve = (answer: { event: 'agree' | 'disagree' | 'exposureAuthorization'; buttonId?: string }) => void

/** 类型声明包把监听者的参数误写为普通的回调结果。 */
const onNeedPrivacyAuthorization = wx.onNeedPrivacyAuthorization as unknown as
  | ((listener: (resolve: Resolve) => void) => void)
  | undefined

/** 等待用户回答的微信接口调用：同一时间可能有多个，回答一次，全部继续。 */
const waiting = new Set<Resolve>()

/**
 * 隐私同意弹窗。由页面打开（`open`），或在用户使用需要授权的功能时由微信要求打开。
 * 事件 `answer`：`detail.isAgreed`。
 */
Component({
  data: { ...idle, isOpen: false, contractName: '《隐私保护指引》' },
  pageLifetimes: {
    show() {
      // 只有最后登记的监听者会收到调用，因此由当前页面的弹窗登记。
      onNeedPrivacyAuthorization?.((resolve) => {
        waiting.add(resolve)
        this.open()
      })
    },
  },
  methods: {
    open() {
      this.setData({ isOpen: true })
    },
    /** 微信在用户点击 `agreePrivacyAuthorization` 按钮后触发。 */
    async agree() {
      answer({ event: 'agree', buttonId: 'agree-button' })
      await run(this, async () => {
        await recordConsent()
        this.setData({ isOpen: false })
        this.triggerEvent('answer', { isAgreed: true })
      })
    },
    refuse() {
      answer({ event: 'disagree' })
      this.setData({ isOpen: false, notice: null })
      this.triggerEvent('answer', { isAgreed: false })
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

function answer(given: Parameters<Resolve>[0]): void {
  for (const resolve of waiting) resolve(given)
  waiting.clear()
}

import type { Notice } from '../../utils/notice'

/** 登记和移除的参数类型不同，监听者兼容两者。 */
type NetworkListener = (
  result: Partial<WechatMiniprogram.OnNetworkStatusChangeListenerResult & WechatMiniprogram.GeneralCallbackResult>,
) => void

/** 每个组件实例的计时器和监听者。 */
const timers = new WeakMap<object, number>()
const listeners = new WeakMap<object, NetworkListener>()

/** 无网络、请求过于频繁、其他失败的提示。到了可以重试的时间，「重试」才可点击。 */
Component({
  properties: {
    notice: { type: Object, value: null as unknown as WechatMiniprogram.IAnyObject },
  },
  data: { left: 0 },
  observers: {
    notice(notice: Notice | null) {
      this.stop()
      if (notice && notice.wait > 0) this.start(notice.wait)
    },
  },
  lifetimes: {
    attached() {
      // 网络恢复后自动重试，用户不必点击；只限读取。
      const listener: NetworkListener = ({ isConnected }) => {
        if (isConnected && this.data.notice?.resumes) this.triggerEvent('retry')
      }
      listeners.set(this, listener)
      wx.onNetworkStatusChange(listener)
    },
    detached() {
      const listener = listeners.get(this)
      if (listener) wx.offNetworkStatusChange(listener)
      this.stop()
    },
  },
  methods: {
    /** 按截止时间倒计时：小程序在后台时计时器会停。 */
    start(seconds: number) {
      const until = Date.now() + seconds * 1000
      const tick = () => {
        const left = Math.max(0, Math.ceil((until - Date.now()) / 1000))
        this.setData({ left })
        if (left === 0) this.stop()
      }
      timers.set(this, setInterval(tick, 1000))
      tick()
    },
    stop() {
      const timer = timers.get(this)
      if (timer !== undefined) clearInterval(timer)
      timers.delete(this)
      if (this.data.left !== 0) this.setData({ left: 0 })
    },
    retry() {
      if (this.data.left === 0) this.triggerEvent('retry')
    },
  },
})

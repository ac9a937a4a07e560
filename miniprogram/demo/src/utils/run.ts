/** 页面调用后端的统一方式：进行中的状态、失败时的提示、重试。 */
import { hasReason, isWeappError } from 'weapp-serverless-sdk'
import type { Notice, Repetition } from './notice'
import { noticeOf, unexpected } from './notice'

/** 页面的 data 须包含的部分：`data: { ...idle }`。 */
export interface Running {
  isBusy: boolean
  notice: Notice | null
}

export const idle: Running = { isBusy: false, notice: null }

interface RunningPage {
  data: Running
  setData(data: Partial<Running>): void
}

type Work = () => Promise<void>

const lastWork = new WeakMap<object, [Work, Repetition]>()

/** 由首页处理的失败：已退出登录，账号正在注销。 */
const isForIndex = (error: unknown) => hasReason(error, 'signed_out') || hasReason(error, 'account_deletion_pending')

/** 执行 `work`，失败时在页面上提示。同一页面一次只执行一项，重复点击无效。 */
export async function run(page: RunningPage, work: Work, repetition: Repetition = 'act'): Promise<void> {
  if (page.data.isBusy) return
  lastWork.set(page, [work, repetition])
  page.setData({ isBusy: true, notice: null })
  try {
    await work()
  } catch (error) {
    if (!isWeappError(error)) {
      page.setData({ notice: unexpected(repetition) })
      throw error
    }
    if (isForIndex(error)) wx.reLaunch({ url: '/pages/index/index' })
    else page.setData({ notice: noticeOf(error, repetition) })
  } finally {
    page.setData({ isBusy: false })
  }
}

/** 提示上的「重试」：再次执行失败的那一项。 */
export async function runAgain(page: RunningPage): Promise<void> {
  const last = lastWork.get(page)
  if (last) await run(page, ...last)
}

/** 询问用户；`true` 为同意。 */
export async function ask(title: string, content: string, confirmText: string, isDangerous = false): Promise<boolean> {
  // 其他情况用微信的默认颜色：它随深色模式变化。
  const color = isDangerous ? { confirmColor: '#fa5151' } : {}
  return (await wx.showModal({ title, content, confirmText, ...color })).confirm
}

export function toast(title: string): void {
  wx.showToast({ title, icon: 'none' })
}

/** 页面调用后端的统一方式：进行中的状态、失败时的提示、重试。 */
import { hasReason, isWeappError } from 'weapp-serverless-sdk'
import type { Notice } from './notice'
import { noticeOf, UNEXPECTED } from './notice'

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

const lastWork = new WeakMap<object, () => Promise<void>>()

/** 执行 `work`，失败时在页面上提示。同一页面一次只执行一项，重复点击无效。 */
export async function run(page: RunningPage, work: () => Promise<void>): Promise<void> {
  if (page.data.isBusy) return
  lastWork.set(page, work)
  page.setData({ isBusy: true, notice: null })
  try {
    await work()
  } catch (error) {
    if (!isWeappError(error)) {
      page.setData({ notice: UNEXPECTED })
      throw error
    }
    if (hasReason(error, 'signed_out')) wx.reLaunch({ url: '/pages/index/index' })
    else page.setData({ notice: noticeOf(error) })
  } finally {
    page.setData({ isBusy: false })
  }
}

/** 提示上的「重试」：再次执行失败的那一项。 */
export async function runAgain(page: RunningPage): Promise<void> {
  const work = lastWork.get(page)
  if (work) await run(page, work)
}

/** 询问用户；`true` 为同意。 */
export async function ask(title: string, content: string, confirmText: string, isDangerous = false): Promise<boolean> {
  const confirmColor = isDangerous ? '#fa5151' : '#576b95'
  return (await wx.showModal({ title, content, confirmText, confirmColor })).confirm
}

export function toast(title: string): void {
  wx.showToast({ title, icon: 'none' })
}

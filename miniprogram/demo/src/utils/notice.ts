import type { WeappError } from 'weapp-serverless-sdk'

/** 页面顶部的提示，由组件 notice 显示。 */
export interface Notice {
  kind: 'offline' | 'busy' | 'error'
  text: string
  /** 多少秒后才可重试。 */
  wait: number
  canRetry: boolean
  /** 网络恢复后自动重试。 */
  resumes: boolean
  /** 用户联系客服时提供，用于在后端日志中查找。 */
  requestId: string
}

/**
 * 失败后如何重试：
 * - `read`：读取，网络恢复后自动重试，也可点击「重试」
 * - `act`：用户的操作，只在点击「重试」后再次执行：届时用户可能已改变主意
 * - `once`：不可挽回，或页面上已有按钮的操作，由用户重新开始
 */
export type Repetition = 'read' | 'act' | 'once'

/** 再试也不会成功。 */
const FINAL = ['user_disabled', 'user_blocked', 'forbidden', 'phone_taken', 'content_risky', 'not_configured']
/** 需要用户重新操作，而不是重发同一请求。 */
const NEEDS_USER = ['invalid_request', 'phone_code_invalid', 'ticket_invalid', 'upload_invalid', 'version_mismatch']

/** 程序或手机的错误，例如存储空间已满。 */
export const unexpected = (repetition: Repetition): Notice => ({
  kind: 'error',
  text: '操作失败，请稍后再试',
  wait: 0,
  canRetry: repetition !== 'once',
  resumes: false,
  requestId: '',
})

export function noticeOf(error: WeappError, repetition: Repetition): Notice {
  const { reason, kind, retryAfter = 0, requestId = '', userMessage } = error
  const isBusy = reason === 'rate_limited' || reason === 'unavailable'
  const isOffline = kind === 'network'
  return {
    kind: isOffline ? 'offline' : isBusy ? 'busy' : 'error',
    text: userMessage,
    wait: isBusy ? retryAfter : 0,
    canRetry: repetition !== 'once' && ![...FINAL, ...NEEDS_USER].includes(reason),
    resumes: isOffline && repetition === 'read',
    requestId,
  }
}

import type { ClientReason } from './errors'
import type { Reason } from './types'

/** A sentence for the user by reason. What is not in here are mistakes of the page: the backend's own message is shown. */
const MESSAGES: { [reason in Reason | ClientReason]?: string } = {
  offline: '网络不可用，请检查网络设置',
  timeout: '网络较慢，请稍后再试',
  network: '网络连接失败，请稍后再试',
  domain_blocked: '无法连接服务器，请联系客服',
  cancelled: '已取消',
  signed_out: '请先登录',
  login_failed: '微信登录失败，请稍后再试',
  bad_response: '网络异常，请检查网络后再试',
  upload_failed: '图片上传失败，请重新选择',
  unsupported: '当前微信版本过低，请升级后再试',
  address_refused: '服务异常，请稍后再试',
  refused: '操作失败，请稍后再试',

  code_invalid: '登录失败，请重试',
  code_used: '登录失败，请重试',
  phone_code_invalid: '获取手机号失败，请重新点击按钮',
  content_risky: '内容未通过审核，请修改后再试',
  upload_invalid: '图片无法识别，请换一张',
  decrypt_failed: '数据校验失败，请重试',
  token_missing: '请先登录',
  token_invalid: '登录已失效，请重试',
  token_expired: '登录已过期，请重试',
  session_revoked: '登录已失效，请重试',
  refresh_invalid: '登录已失效，请重试',
  refresh_reused: '登录已失效，请重试',
  forbidden: '没有权限',
  user_disabled: '账号已停用，请联系客服',
  user_unreachable: '该用户未登录过此小程序，无法发送',
  user_blocked: '账号存在安全风险，暂时无法登录',
  target_invalid: '页面尚未发布，请稍后再试',
  not_found: '内容不存在',
  request_timeout: '网络较慢，请稍后再试',
  conflict: '操作冲突，请重试',
  phone_taken: '该手机号已绑定其他账号',
  ticket_invalid: '操作已过期，请重新点击按钮获取手机号',
  account_deletion_pending: '账号正在注销中',
  upload_missing: '图片上传失败，请重新选择',
  session_key_stale: '数据已过期，请重试',
  version_mismatch: '内容已被修改，请刷新后再试',
  body_too_large: '内容过长',
  rate_limited: '操作过于频繁，请稍后再试',
  internal: '服务异常，请稍后再试',
  not_configured: '暂不支持此功能',
  upstream_error: '微信服务异常，请稍后再试',
  quota_exceeded: '今日额度已用完，请明天再试',
  unavailable: '服务繁忙，请稍后再试',
  upstream_timeout: '服务响应超时，请稍后再试',
}

export function messageOf(reason: string): string {
  return MESSAGES[reason as Reason] || ''
}

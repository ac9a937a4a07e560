/**
 * 隐私同意有两层，缺一不可：微信的（`wx.getPrivacySetting`，未同意时头像、昵称、手机号按钮不可用）和后端的（设置
 * `CONSENTS` 时记录用户同意的版本，可供查证）。用户只需同意一次，两层一起完成。
 */
import { client } from './client'
import { toast } from './run'

const DOCUMENT = 'privacy'

function isMissingAtWeChat(): Promise<boolean> {
  return new Promise((resolve) => {
    // 基础库 2.32.3 以前没有此接口，也没有此要求。查询失败时不拦下用户：微信在使用时仍会要求授权。
    if (!wx.getPrivacySetting) resolve(false)
    else
      wx.getPrivacySetting({
        success: ({ needAuthorization }) => resolve(needAuthorization),
        fail: () => resolve(false),
      })
  })
}

async function missingVersion(): Promise<number | undefined> {
  const { consentsMissing = [] } = await client.user.get()
  return consentsMissing.find(({ document }) => document === DOCUMENT)?.version
}

/** 缺少哪一层的同意；两层都缺时为 `wechat`。 */
export type ConsentMissing = 'wechat' | 'backend'

/** 使用个人信息前是否须先征得同意。 */
export async function missingConsent(): Promise<ConsentMissing | undefined> {
  if (await isMissingAtWeChat()) return 'wechat'
  return (await missingVersion()) === undefined ? undefined : 'backend'
}

/** 在后端记录同意；已同意或后端不要求时不做任何事。 */
export async function recordConsent(): Promise<void> {
  const version = await missingVersion()
  if (version !== undefined) await client.consents.agree(DOCUMENT, version)
}

/** 由微信展示小程序后台登记的《隐私保护指引》。 */
export function openContract(): void {
  // 基础库 2.32.3 以前没有此接口。
  if (wx.openPrivacyContract) wx.openPrivacyContract({ fail: () => toast('暂时无法打开') })
  else toast('请升级微信后查看')
}

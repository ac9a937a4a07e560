/** 开发者工具没有真实的用户和手机号：用 `make run` 的微信模拟器代替。见 `config.ts` 的 `USE_SIMULATOR`。 */
import { WeappError } from 'weapp-serverless-sdk'
import { baseURL, usesSimulator } from './environment'

const KEY = 'developer-user'

/** 模拟的微信用户，任意名称；同一名称始终是同一用户。 */
export const simulatedUser = (): string => wx.getStorageSync(KEY) || 'alice'

export const simulateUser = (name: string): void => wx.setStorageSync(KEY, name)

/** 代替 `wx.login`。 */
export const loginCode = async (): Promise<string> => (await control('POST', 'code')).code

/** 代替手机号按钮。 */
export const phoneCode = async (): Promise<string> => (await control('POST', 'phone-code')).code

/** 设置模拟用户在微信中的手机号。 */
export async function simulatePhone(phone: string): Promise<void> {
  await control('PUT', 'users', { phone })
}

function control(method: 'POST' | 'PUT', path: string, fields: object = {}): Promise<{ code: string }> {
  if (!usesSimulator) throw new Error('the simulator is for development')
  return new Promise((resolve, reject) => {
    wx.request<{ code: string; error?: string }>({
      url: `${baseURL}/_wechat/_control/${path}`,
      method,
      data: { user: simulatedUser(), ...fields },
      success: ({ statusCode, data }) => {
        if (statusCode === 200) resolve(data)
        else reject(new WeappError({ kind: 'client', reason: 'login_failed', detail: `simulator: ${data.error}` }))
      },
      fail: ({ errMsg }) =>
        reject(new WeappError({ kind: 'network', reason: 'network', detail: `simulator: ${errMsg}` })),
    })
  })
}

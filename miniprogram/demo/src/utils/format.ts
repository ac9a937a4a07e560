const two = (value: number) => String(value).padStart(2, '0')

/** `2026-11-26 14:05`，手机所在时区。 */
export function timeText(iso: string): string {
  const at = new Date(iso)
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}`
}

/** `138****5678`；境外号码保留前三后四。 */
export const maskedPhone = (phone: string): string => `${phone.slice(0, 3)}****${phone.slice(-4)}`

const DEVICES: [RegExp, string][] = [
  [/wechatdevtools/i, '微信开发者工具'],
  [/iPhone/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/OpenHarmony|HarmonyOS/, '鸿蒙设备'],
  [/Android/, 'Android 手机'],
  [/Windows/, 'Windows 微信'],
  [/Macintosh/, 'Mac 微信'],
]

export function deviceText(userAgent: string | null): string {
  const device = DEVICES.find(([pattern]) => pattern.test(userAgent || ''))
  return device ? device[1] : '未知设备'
}

const DOCUMENTS: { [document: string]: string } = { privacy: '隐私政策', terms: '用户协议' }

export const documentText = (document: string): string => DOCUMENTS[document] || document

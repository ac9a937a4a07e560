import { SERVERS, USE_SIMULATOR } from '../config'

const { envVersion } = wx.getAccountInfoSync().miniProgram

/** 版本不明时按正式版处理。 */
export const baseURL = (SERVERS[envVersion] || SERVERS.release).replace(/\/+$/, '')

const isLocal = /^http:\/\/(127\.0\.0\.1|localhost)(:\d+)?$/.test(baseURL)

/** 体验版和正式版中恒为 `false`，无论 `config.ts` 如何设置。 */
export const usesSimulator = USE_SIMULATOR && envVersion === 'develop' && isLocal

import { createClient } from 'weapp-serverless-sdk'
import { baseURL, usesSimulator } from './environment'
import { loginCode } from './simulator'

/** 整个小程序共用一个，各页面因此共用同一登录态。 */
export const client = createClient({ baseURL, ...(usesSimulator && { getCode: loginCode }) })

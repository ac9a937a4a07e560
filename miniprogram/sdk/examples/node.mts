import { type Client, createClient, type User } from 'weapp-serverless-sdk'

const baseURL = process.argv[2] || 'http://127.0.0.1:9000'

const client: Client = createClient({
  baseURL,
  async getCode() {
    const init = { method: 'POST', body: JSON.stringify({ user: 'alice' }) }
    const response = await fetch(`${baseURL}/_wechat/_control/code`, init)
    const { code } = (await response.json()) as { code: string }
    return code
  },
})

const user: User = await client.user.update({ nickname: '小明' })
console.log(user)

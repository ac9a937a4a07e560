const { createClient } = require('weapp-serverless-sdk')

const baseURL = process.argv[2] || 'http://127.0.0.1:9000'

const client = createClient({
  baseURL,
  async getCode() {
    const init = { method: 'POST', body: JSON.stringify({ user: 'alice' }) }
    const response = await fetch(`${baseURL}/_wechat/_control/code`, init)
    return (await response.json()).code
  },
})

client.user.update({ nickname: '小明' }).then(console.log)

// Stands in for a phone with WeChat: runs the pages of docs/client.md and docs/accounts.md, taps everything in them, and
// prints what they show. WeChat's part is the simulator's.
const assert = require('node:assert')

const control = async (path, body) => {
  const response = await fetch(`${process.env.URL}/_wechat/_control/${path}`, {
    method: 'POST', body: JSON.stringify({ user: 'alice', ...body }),
  })
  assert(response.ok, path)
  return response.json()
}

const storage = {}
const files = {}
const asked = []
// A file of one pixel, as `chooseAvatar` gives it.
const pictures = {
  'http://tmp/picture': Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACklEQVR4nGMAAQAABQABDQottAAAAABJRU5ErkJggg==', 'base64'),
}
let shared
const pending = []
let answered = 0

globalThis.wx = {
  getStorageSync: name => storage[name] || '',
  setStorageSync: (name, value) => { storage[name] = value },
  login: ({ success, fail }) => control('code').then(success, fail),
  getWeRunData: () => control('encrypted-data', { kind: 'werun' }),
  request: ({ url, method, data, header, success, fail }) => {
    const body = data && method !== 'GET' ? JSON.stringify(data) : undefined
    const headers = { 'content-type': 'application/json', ...header }
    pending.push(fetch(url, { method, body, headers }).then(async response => {
      const answer = await response.json()
      const isExpected = response.ok || answer.reason === 'phone_taken'
      assert(isExpected, `${method} ${url}: ${JSON.stringify(answer)}`)
      answered += 1
      success({ statusCode: response.status, data: answer })
    }).catch(error => { fail(error); throw error }))
  },
  showModal: async ({ title }) => {
    asked.push(title)
    return { confirm: true }
  },
  showToast: ({ title }) => { throw new Error(title) },
  env: { USER_DATA_PATH: 'usr' },
  getFileSystemManager: () => ({
    writeFileSync: (path, data) => { files[path] = data },
    getFileInfo: ({ filePath, success }) => success({ size: pictures[filePath].length }),
  }),
  getImageInfo: async ({ src }) => ({ path: src, type: 'png', width: 1, height: 1 }),
  uploadFile: ({ url, filePath, name, formData, success, fail }) => {
    const body = new FormData()
    for (const [field, value] of Object.entries(formData)) body.append(field, value)
    body.append(name, new Blob([pictures[filePath]], { type: 'image/png' }), 'picture.png')
    pending.push(fetch(url, { method: 'POST', body }).then(async response => {
      success({ statusCode: response.status, data: await response.text() })
    }).catch(error => { fail(error); throw error }))
  },
  shareFileMessage: ({ filePath }) => { shared = filePath },
  getUserCryptoManager: () => ({
    getLatestUserKey: ({ success }) => pending.push(control('encrypted-message', { text: '{"order":7}' })
      .then(({ encryptedData, version }) => {
        globalThis.aesCbc = () => encryptedData
        success({ encryptKey: 'key', iv: 'iv', version })
      })),
  }),
}

const shown = {}
const pages = []
globalThis.Page = page => pages.push({
  ...page,
  setData(data) {
    this.data = { ...this.data, ...data }
    Object.assign(shown, data)
  },
})

const main = async () => {
  await require('./utils/api.js').login()
  for (let page = 1; page <= Number(process.argv[2]); page += 1) {
    require(`./pages/${page}/index.js`)
  }
  for (const page of pages) {
    await page.onLoad?.()
    await page.chooseAvatar?.({ detail: { avatarUrl: 'http://tmp/picture' } })
    await page.save?.({ detail: { value: { nickname: '小明' } } })
    await page.bindPhone?.({ detail: await control('phone-code') })
    await page.agree?.()
    await page.withdraw?.()
  }
  while (pending.length > 0) await pending.shift()
  console.log(JSON.stringify({ ...shown, asked, files, shared, answered }))
}

main().catch(error => { console.error(error); process.exit(1) })

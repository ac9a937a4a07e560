import type { Consents } from 'weapp-serverless-sdk'
import { client } from '../../utils/client'
import { documentText, timeText } from '../../utils/format'
import { openContract } from '../../utils/privacy'
import { ask, idle, run, runAgain, toast } from '../../utils/run'

/** 后端要求的每一份文件，以及用户是否已同意其当前版本。 */
const shownDocuments = ({ required, consentsMissing }: Consents) =>
  required.map(({ document, version }) => ({
    document,
    version,
    title: documentText(document),
    isAgreed: !consentsMissing.some((missing) => missing.document === document),
  }))

const shownHistory = ({ history }: Consents) =>
  history.map(({ document, version, agreedAt, withdrawnAt }) => ({
    key: `${document} ${version} ${agreedAt}`,
    title: `${documentText(document)} 第 ${version} 版`,
    agreed: timeText(agreedAt),
    withdrawn: withdrawnAt ? timeText(withdrawnAt) : '',
  }))

type Target = WechatMiniprogram.TouchEvent<object, object, { document: string; version: number; title: string }>

Page({
  data: {
    ...idle,
    isLoaded: false,
    documents: [] as ReturnType<typeof shownDocuments>,
    history: [] as ReturnType<typeof shownHistory>,
  },
  onLoad() {
    return run(this, () => this.load(), 'read')
  },
  async load() {
    const consents = await client.consents.list()
    this.setData({ isLoaded: true, documents: shownDocuments(consents), history: shownHistory(consents) })
  },
  /** 其他文件的正文由您的小程序提供。 */
  read() {
    openContract()
  },
  async agree({ currentTarget }: Target) {
    const { document, version, title } = currentTarget.dataset
    if (!(await ask(title, `您已阅读${title}第 ${version} 版的全文，并同意其内容。`, '同意'))) return
    await run(this, async () => {
      await client.consents.agree(document, version)
      await this.load()
      toast('已同意')
    })
  },
  async withdraw({ currentTarget }: Target) {
    const { document, title } = currentTarget.dataset
    if (!(await ask('撤回同意', `撤回后，需要${title}的功能将不可用，此前的处理不受影响。`, '撤回', true))) return
    await run(this, async () => {
      await client.consents.withdraw(document)
      await this.load()
      toast('已撤回')
    })
  },
  retry() {
    return runAgain(this)
  },
})

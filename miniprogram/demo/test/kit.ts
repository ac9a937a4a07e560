/**
 * The mini-program on a phone: the compiled pages, rendered by miniprogram-simulate in jsdom, in front of a real backend.
 * What WeChat itself draws (pickers, modals, the sheet of the phone number button) is answered by the test.
 */
import assert from 'node:assert/strict'
import Module, { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { JSDOM } from 'jsdom'
import type { Backend } from '../../sdk/test/kit/backend'
import { Phone } from '../../sdk/test/kit/phone'

export { Backend } from '../../sdk/test/kit/backend'
export { Fail } from '../../sdk/test/kit/phone'

export const APP = resolve('build/app')
const require = createRequire(import.meta.url)

interface Rendered {
  dom: HTMLElement
  instance: { data: Record<string, unknown>; [method: string]: unknown }
  attach(parent: unknown): void
  detach(): void
  querySelector(selector: string): Rendered | undefined
  querySelectorAll(selector: string): Rendered[]
  dispatchEvent(name: string, options?: { detail?: object }): void
  triggerPageLifeTime(name: string): void
  toJSON(): { attrs?: { name: string; value: unknown }[] }
}

interface Simulate {
  load(path: string, options: object): string
  render(id: string): Rendered
}

const dom = new JSDOM('<!DOCTYPE html><body></body>', { pretendToBeVisual: true })
const world = globalThis as unknown as Record<string, unknown>
Object.assign(world, { window: dom.window, document: dom.window.document })
for (const name of [
  'Event',
  'CustomEvent',
  'TouchEvent',
  'Node',
  'Element',
  'HTMLElement',
  'MutationObserver',
  'getComputedStyle',
]) {
  world[name] = (dom.window as unknown as Record<string, unknown>)[name]
}

// Packages are looked up where the developer tools put them.
const loader = Module as unknown as { _resolveFilename(name: string, ...others: unknown[]): string }
const resolveFilename = loader._resolveFilename
loader._resolveFilename = (name, ...others) =>
  resolveFilename.call(loader, name === 'weapp-serverless-sdk' ? join(APP, 'miniprogram_npm', name) : name, ...others)

const simulate: Simulate = require('miniprogram-simulate')

type Options = Record<string, unknown>

// Pages are components with other names for the same things.
world.Page = (options: Options) => {
  const entries = Object.entries(options)
  const methods = Object.fromEntries(entries.filter(([, value]) => typeof value === 'function'))
  ;(world.Component as (definition: Options) => void)({ data: options.data, methods })
}

export async function until(condition: () => unknown, what: () => string): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`not in time: ${what()}`)
    await new Promise((done) => setTimeout(done, 5))
  }
}

export type EnvVersion = 'develop' | 'trial' | 'release'

type Answer = { event: string; buttonId?: string }
type NetworkListener = (result: { isConnected: boolean }) => void

export class Device {
  readonly phone: Phone
  readonly toasts: string[] = []
  readonly asked: string[] = []
  readonly opened: string[] = []
  readonly shared: string[] = []
  readonly written = new Map<string, string>()
  /** What the user answers to the next questions; every question has to be foreseen. */
  answers: boolean[] = []
  /** WeChat's own record of the consent to the privacy policy. */
  needsAuthorization = false
  isFull = false
  /** What `wx.shareFileMessage` fails with. */
  shareFailure = ''
  /** Functions that the phone's WeChat is too old for. */
  lacks: string[] = []
  private privacyListener: ((resolve: (answer: Answer) => void) => void) | undefined
  private readonly networkListeners = new Set<NetworkListener>()

  constructor(
    readonly backend: Backend,
    user: string,
    private readonly envVersion: EnvVersion = 'develop',
  ) {
    this.phone = new Phone(backend, user)
    this.phone.stored.set('developer-user', user)
    this.start()
  }

  /** Starts the mini-program anew: only the storage is what it was. */
  start(): void {
    for (const path of Object.keys(require.cache)) if (path.startsWith(APP)) delete require.cache[path]
    Object.assign(world.wx as object, this.wx)
    const config: { SERVERS: Record<EnvVersion, string> } = require(join(APP, 'config.js'))
    config.SERVERS[this.envVersion] = this.backend.url
  }

  open(page: string, query: Record<string, string> = {}): Screen {
    const path = join(APP, `pages/${page}/index`)
    const rendered = simulate.render(simulate.load(path, { rootPath: APP }))
    rendered.attach(document.createElement('parent-wrapper'))
    return new Screen(rendered, query)
  }

  /** The user's id, as the stored token has it. */
  get id(): string {
    const { token } = JSON.parse(String(this.phone.stored.get('weapp-session')))
    return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()).sub
  }

  /** The query of the page that was opened last, as WeChat hands it over: not decoded. */
  get query(): Record<string, string> {
    const [, query = ''] = this.opened.at(-1)?.split('?') || []
    return Object.fromEntries(query.split('&').map((pair) => pair.split('=')))
  }

  goOnline(): void {
    this.phone.isOffline = false
    for (const listener of this.networkListeners) listener({ isConnected: true })
  }

  /** What WeChat does when the page uses something personal and the user has not consented. */
  usePrivateData(): Promise<Answer> {
    return new Promise((answered) => this.privacyListener?.(answered))
  }

  private get wx(): object {
    const { phone } = this
    const base = phone.wx
    return {
      ...base,
      env: { USER_DATA_PATH: 'usr' },
      // Objects are sent as JSON, as WeChat does.
      request: (options: { data?: unknown }) =>
        base.request({
          ...options,
          ...(typeof options.data === 'object' && { data: JSON.stringify(options.data) }),
        } as never),
      getAccountInfoSync: () => ({ miniProgram: { appId: 'touristappid', envVersion: this.envVersion } }),
      showModal: async ({ title }: { title: string }) => {
        this.asked.push(title)
        const confirm = this.answers.shift()
        assert(confirm !== undefined, `asked without being foreseen: ${title}`)
        return { confirm, cancel: !confirm }
      },
      showToast: ({ title }: { title: string }) => this.toasts.push(title),
      reLaunch: ({ url }: { url: string }) => this.opened.push(url),
      stopPullDownRefresh: () => undefined,
      onNetworkStatusChange: (listener: NetworkListener) => this.networkListeners.add(listener),
      offNetworkStatusChange: (listener: NetworkListener) => this.networkListeners.delete(listener),
      getPrivacySetting: ({ success }: { success(result: object): void }) =>
        success({ needAuthorization: this.needsAuthorization, privacyContractName: '《隐私保护指引》' }),
      onNeedPrivacyAuthorization: (listener: Device['privacyListener']) => {
        this.privacyListener = listener
      },
      openPrivacyContract: () => this.opened.push('privacy contract'),
      shareFileMessage: ({ filePath, fail }: { filePath: string; fail(error: { errMsg: string }): void }) => {
        if (this.shareFailure) fail({ errMsg: this.shareFailure })
        else this.shared.push(this.written.get(filePath) || '')
      },
      getFileSystemManager: () => ({
        ...base.getFileSystemManager?.(),
        writeFileSync: (path: string, text: string) => {
          if (this.isFull) throw new Error('writeFileSync:fail the maximum size of the file storage limit is exceeded')
          this.written.set(path, text)
        },
        statSync: (path: string) => ({ size: Buffer.byteLength(this.written.get(path) || '') }),
        unlink: ({ filePath }: { filePath: string }) => this.written.delete(filePath),
      }),
      ...Object.fromEntries(this.lacks.map((name) => [name, undefined])),
    }
  }
}

export class Screen {
  private readonly loaded: unknown

  constructor(
    private readonly rendered: Rendered,
    query: Record<string, string>,
  ) {
    rendered.triggerPageLifeTime('show')
    this.loaded = this.call('onLoad', query)
    this.call('onShow')
  }

  call(method: string, ...given: unknown[]): unknown {
    const found = this.rendered.instance[method]
    return typeof found === 'function' ? found.apply(this.rendered.instance, given) : undefined
  }

  get isLoaded(): Promise<unknown> {
    return Promise.resolve(this.loaded)
  }

  close(): void {
    this.call('onUnload')
    this.rendered.detach()
  }

  /** What can be read, with a blank between elements. */
  get text(): string {
    const walker = document.createTreeWalker(this.rendered.dom, 4 /* text */)
    const texts: string[] = []
    while (walker.nextNode()) texts.push(walker.currentNode.textContent?.trim() || '')
    return texts.filter(Boolean).join(' ')
  }

  /** An element; `#privacy .agree` is `.agree` in the component `#privacy`. */
  private find(selector: string): Rendered | undefined {
    const parts = selector.split(' ')
    return parts.reduce<Rendered | undefined>((within, part) => within?.querySelector(part), this.rendered)
  }

  has(selector: string): boolean {
    return this.find(selector) !== undefined
  }

  attribute(selector: string, name: string): unknown {
    return this.find(selector)
      ?.toJSON()
      .attrs?.find((attribute) => attribute.name === name)?.value
  }

  async shows(...texts: string[]): Promise<void> {
    await until(
      () => texts.every((text) => this.text.includes(text)),
      () => `${texts.join(', ')} in: ${this.text}`,
    )
  }

  /** As a user: only what is there and enabled. */
  async does(selector: string, event: string, detail: object = {}): Promise<void> {
    await until(
      () => this.has(selector) && !this.attribute(selector, 'disabled'),
      () => `${selector} in: ${this.text}`,
    )
    this.find(selector)?.dispatchEvent(event, { detail })
    await new Promise((done) => setTimeout(done, 0))
  }

  tap(selector: string): Promise<void> {
    return this.does(selector, 'tap')
  }
}

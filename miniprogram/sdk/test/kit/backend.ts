/** The backend of `make run`, one for each test file, with a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const BINARY = resolve(process.env.LOCAL_BINARY || '../../target/debug/local')

/** What tokens are signed with, so that tests can make tokens of their own. */
export const SECRET = 'a secret of the SDK tests of 32 bytes or more'

const LIMITS = ['USER', 'REFRESH', 'LOGIN', 'GUEST', 'AVATAR', 'WECHAT']

type Variables = Record<string, string>

export class Backend {
  url = ''
  private process: ChildProcess | undefined
  private output = ''
  private readonly folder = mkdtempSync(join(tmpdir(), 'weapp-sdk-'))
  private port = '0'

  private constructor(private variables: Variables) {}

  static async start(variables: Variables = {}): Promise<Backend> {
    // Limits would be in the way of tests about something else.
    const unlimited = Object.fromEntries(LIMITS.map((limit) => [`RATE_LIMIT_${limit}`, 'off']))
    const backend = new Backend({ JWT_SECRETS: SECRET, ...unlimited, ...variables })
    await backend.begin()
    return backend
  }

  private get environment(): Variables {
    return { PORT: this.port, DATA_DIR: join(this.folder, 'data'), ...this.variables }
  }

  private async begin(): Promise<void> {
    const child = spawn(BINARY, { cwd: this.folder, env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] })
    this.process = child
    this.output = ''
    const ready = new Promise<string>((found, failed) => {
      const read = (chunk: Buffer) => {
        this.output += chunk
        const line = /weapp-serverless on (\S+)[\s\S]*Try \(/.exec(this.output)
        if (line?.[1]) found(line[1])
      }
      child.stdout.on('data', read)
      child.stderr.on('data', read)
      child.once('error', failed)
      child.once('exit', (code) => failed(new Error(`the backend ended with ${code}:\n${this.output}`)))
    })
    this.url = await ready
    this.port = new URL(this.url).port
  }

  /** On the same port, with the same data. */
  async restart(variables: Variables = {}): Promise<void> {
    await this.halt()
    this.variables = { ...this.variables, ...variables }
    await this.begin()
  }

  private async halt(): Promise<void> {
    const child = this.process
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.halt()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** A command of the binary, such as `admin <id>`. */
  command(...words: string[]): void {
    execFileSync(BINARY, words, { cwd: this.folder, env: this.environment, stdio: 'pipe' })
  }

  /** What happens on the phone or inside WeChat: the simulator's control side. */
  async control<T = Record<string, string>>(path: string, body: object, method = 'POST'): Promise<T> {
    const init = { method, body: JSON.stringify(body) }
    const response = await fetch(`${this.url}/_wechat/_control/${path}`, init)
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    const text = await response.text()
    return (text ? JSON.parse(text) : {}) as T
  }

  /** Everything that it has logged since it started. */
  get log(): string {
    return this.output
  }
}

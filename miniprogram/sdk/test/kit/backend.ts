/** The backend of `make run`, one for each test file, with a folder of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const BINARY = resolve(process.env.LOCAL_BINARY || '../../target/debug/local')

/** What tokens are signed with, so that tests can make tokens of their own. */
export const SECRET = 'a secret of the SDK tests of 32 bytes or more'

const LIMITS = ['USER', 'REFRESH', 'LOGIN', 'GUEST', 'AVATAR', 'WECHAT']

type Variables = Record<string, string>

const TABLE = 'weapp'
const DAY = 86_400_000

/** A value of DynamoDB's JSON, as far as tests read it. */
interface Value {
  S?: string
  SS?: string[]
  L?: Value[]
}

type Row = Record<string, Value>

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

  /** A call of the embedded DynamoDB. */
  private async table<T>(operation: string, body: object): Promise<T> {
    const endpoint = readFileSync(join(this.folder, 'data/endpoint'), 'utf8')
    const headers = {
      'Content-Type': 'application/x-amz-json-1.0',
      'X-Amz-Target': `DynamoDB_20120810.${operation}`,
      'X-Amz-Date': new Date().toISOString().replace(/[-:]|\.\d+/g, ''),
      // It wants to see one, and checks no signature.
      Authorization:
        'AWS4-HMAC-SHA256 Credential=local/20261126/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    }
    const response = await fetch(endpoint, {
      method: 'POST',
      headers,
      body: JSON.stringify({ TableName: TABLE, ...body }),
    })
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  private async setTime(pk: string, sk: string, name: string, time: string): Promise<void> {
    await this.table('UpdateItem', {
      Key: { pk: { S: pk }, sk: { S: sk } },
      UpdateExpression: 'SET #name = :time',
      ConditionExpression: 'attribute_exists(#name)',
      ExpressionAttributeNames: { '#name': name },
      ExpressionAttributeValues: { ':time': { S: time } },
    })
  }

  /** As if the user had joined, and logged in for the last time, so many days ago. */
  async lastSeen(user: string, days: number): Promise<void> {
    const Key = { pk: { S: `USER#${user}` }, sk: { S: 'PROFILE' } }
    const { Item: row } = await this.table<{ Item?: Row }>('GetItem', { Key, ConsistentRead: true })
    const { SS, L = [] } = row?.identities || {}
    const identities = SS || L.map(({ S = '' }) => S)
    if (identities.length === 0) throw new Error(`no identities of ${user}`)
    const time = new Date(Date.now() - days * DAY).toISOString()
    await this.setTime(Key.pk.S, 'PROFILE', 'createdAt', time)
    for (const identity of identities) await this.setTime(identity, 'IDENTITY', 'lastLoginAt', time)
  }

  /** Everything that it has logged since it started. */
  get log(): string {
    return this.output
  }
}

/** Tokens as the backend makes them, and the session as the SDK stores it. */
import { createHmac } from 'node:crypto'
import { SECRET } from './backend'
import type { Phone } from './phone'

const KEY = 'weapp-session'

interface Stored {
  state: string
  token: string
  refreshToken: string
  expiresIn: number
  received: number
  served: number
}

export function stored(phone: Phone): Stored {
  return JSON.parse(String(phone.stored.get(KEY) || '{}'))
}

export function change(phone: Phone, fields: Partial<Stored>): void {
  phone.stored.set(KEY, JSON.stringify({ ...stored(phone), ...fields }))
}

/** The same token, except that it expired an hour ago. */
export function expired(token: string): string {
  const [header = '', payload = ''] = token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const past = { ...claims, iat: claims.iat - 10_800, exp: claims.iat - 3_600 }
  const signed = `${header}.${Buffer.from(JSON.stringify(past)).toString('base64url')}`
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}

/** Lets the stored token expire; a client that starts now does not know it. */
export function expire(phone: Phone): void {
  change(phone, { token: expired(stored(phone).token) })
}

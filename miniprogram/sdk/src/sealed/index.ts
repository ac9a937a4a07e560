/**
 * Sealed bodies: JWE in compact form (RFC 7516) with RSA-OAEP-256 and A256GCM. A module of its own, because it is larger
 * than the rest and few calls need it. AES-GCM and SHA-256 are those of `@noble`.
 */
import { gcm } from '@noble/ciphers/aes.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { SealRequest } from '../http/sealing'
import { concat, fromBase64url, fromUtf8, toBase64url, utf8 } from './bytes'
import { encryptOaep } from './oaep'

const KEY = 32
const IV = 12
const SEED = 32
const ID = 16
const TAG = 16

/** The content key, the IV, the seed of OAEP and the message's id. */
export const RANDOM_BYTES = KEY + IV + SEED + ID

/** The content as a JWE, and what opens the answer to it, which is encrypted with the same content key. */
export function seal(request: SealRequest, random: Uint8Array): { body: string; open(answer: string): string } {
  const { key, method, path, issuedAt, token, content } = request
  let at = 0
  const take = (length: number) => {
    at += length
    return random.slice(at - length, at)
  }
  const [cek, iv, seed, jti] = [take(KEY), take(IV), take(SEED), toBase64url(take(ID))]
  const header = {
    alg: 'RSA-OAEP-256',
    enc: 'A256GCM',
    kid: key.kid,
    iat: issuedAt,
    jti,
    htm: method,
    htu: path,
    // Binds the body to the access token that is sent with it.
    ...(token && { ath: toBase64url(sha256(utf8(token))) }),
    cty: 'json',
  }
  const protectedHeader = toBase64url(utf8(JSON.stringify(header)))
  const wrapped = encryptOaep(cek, seed, fromBase64url(key.n), fromBase64url(key.e))
  const encrypted = gcm(cek, iv, utf8(protectedHeader)).encrypt(utf8(content))
  const parts = [wrapped, iv, encrypted.subarray(0, -TAG), encrypted.subarray(-TAG)]
  const body = [protectedHeader, ...parts.map(toBase64url)].join('.')
  return { body, open: (answer) => open(answer, cek, jti) }
}

/** Throws if it is not the answer to the message `jti`, or was changed. */
function open(answer: string, cek: Uint8Array, jti: string): string {
  const parts = answer.split('.')
  const [header = '', wrapped, iv = '', ciphertext = '', tag = ''] = parts
  const { alg, enc, jti: answered } = JSON.parse(fromUtf8(fromBase64url(header)))
  const isOurs = parts.length === 5 && wrapped === '' && alg === 'dir' && enc === 'A256GCM' && answered === jti
  if (!isOurs) throw new Error('not the answer to this request')
  const encrypted = concat(fromBase64url(ciphertext), fromBase64url(tag))
  return fromUtf8(gcm(cek, fromBase64url(iv), utf8(header)).decrypt(encrypted))
}

/** Text and base64url. A mini-program's engine has neither `TextEncoder` nor `btoa`. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

export function utf8(text: string): Uint8Array {
  // Halves of surrogate pairs are no text, and `encodeURIComponent` throws on them. JSON.stringify may leave some.
  const whole = text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (found) =>
    found.length === 2 ? found : '\uFFFD',
  )
  const escaped = encodeURIComponent(whole)
  const bytes: number[] = []
  for (let at = 0; at < escaped.length; at += 1) {
    if (escaped[at] === '%') {
      bytes.push(Number.parseInt(escaped.slice(at + 1, at + 3), 16))
      at += 2
    } else {
      bytes.push(escaped.charCodeAt(at))
    }
  }
  return Uint8Array.from(bytes)
}

/** Throws if it is not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  let escaped = ''
  for (const byte of Array.from(bytes)) escaped += `%${byte < 16 ? '0' : ''}${byte.toString(16)}`
  return decodeURIComponent(escaped)
}

export function toBase64url(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const group = Array.from(bytes.subarray(at, at + 3))
    const [a = 0, b = 0, c = 0] = group
    const bits = (a << 16) | (b << 8) | c
    for (let digit = 0; digit <= group.length; digit += 1) text += ALPHABET[(bits >> (18 - 6 * digit)) & 63]
  }
  return text
}

/** Throws if it is not base64url without padding. */
export function fromBase64url(text: string): Uint8Array {
  if (/[^\w-]/.test(text) || text.length % 4 === 1) throw new Error('not base64url')
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let bits = 0
  let count = 0
  let at = 0
  for (const digit of text) {
    bits = ((bits << 6) | ALPHABET.indexOf(digit)) & 0xffff
    count += 6
    if (count >= 8) {
      count -= 8
      bytes[at] = (bits >> count) & 0xff
      at += 1
    }
  }
  return bytes
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] as number))
}

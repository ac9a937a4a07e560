/**
 * RSA's public operation, `message ^ exponent mod modulus`, with Montgomery's multiplication (CIOS: Koç, Acar, Kaliski,
 * 1996). In plain numbers: the libraries that have it need `BigInt` throughout, which compilers for older engines
 * refuse, and which is slow where it is emulated.
 *
 * A number is an array of digits of 24 bits, the lowest first: the product of two and what is carried stay below 2^53.
 */
const BASE = 2 ** 24

type Digits = number[]

function fromBytes(bytes: Uint8Array, length: number): Digits {
  const digits = new Array<number>(length).fill(0)
  const { length: count } = bytes
  for (let at = 0; at < count; at += 1) {
    const index = Math.floor(at / 3)
    digits[index] = (digits[index] as number) + (bytes[count - 1 - at] as number) * 256 ** (at % 3)
  }
  return digits
}

function toBytes(digits: Digits, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 1) {
    bytes[length - 1 - at] = Math.floor(((digits[Math.floor(at / 3)] as number) || 0) / 256 ** (at % 3)) & 0xff
  }
  return bytes
}

function isBelow(a: Digits, b: Digits): boolean {
  for (let at = b.length - 1; at >= 0; at -= 1) {
    if (a[at] !== b[at]) return (a[at] as number) < (b[at] as number)
  }
  return false
}

/** `a - b`, in place; what is above the digits of `b` cancels out. */
function subtract(a: Digits, b: Digits): void {
  let borrow = 0
  for (let at = 0; at < b.length; at += 1) {
    const digit = (a[at] as number) - (b[at] as number) - borrow
    borrow = digit < 0 ? 1 : 0
    a[at] = digit + borrow * BASE
  }
}

/** `-1 / n mod 2^24` of an odd digit, by Newton's iteration: each step doubles the bits that are right. */
function negativeInverse(n: number): number {
  let inverse = 1
  for (let bits = 1; bits < 24; bits *= 2) {
    const error = (2 - ((n * inverse) % BASE) + BASE) % BASE
    inverse = (inverse * error) % BASE
  }
  return (BASE - inverse) % BASE
}

/** `a * b / 2^(24 * length) mod n`. */
function multiply(a: Digits, b: Digits, n: Digits, n0: number): Digits {
  const { length } = n
  const t = new Array<number>(length + 2).fill(0)
  for (let i = 0; i < length; i += 1) {
    addProduct(t, a, b[i] as number)
    addProduct(t, n, ((t[0] as number) * n0) % BASE)
    // The lowest digit is 0 now: a division by the base.
    t.shift()
    t.push(0)
  }
  if (t[length] || !isBelow(t, n)) subtract(t, n)
  return t.slice(0, length)
}

/** `t + a * digit`, in place. */
function addProduct(t: Digits, a: Digits, digit: number): void {
  let carry = 0
  for (let at = 0; at < a.length; at += 1) {
    const sum = (t[at] as number) + (a[at] as number) * digit + carry
    carry = Math.floor(sum / BASE)
    t[at] = sum - carry * BASE
  }
  for (let at = a.length; carry > 0; at += 1) {
    const sum = (t[at] as number) + carry
    carry = Math.floor(sum / BASE)
    t[at] = sum - carry * BASE
  }
}

/** `2^(48 * length) mod n`, which brings numbers into Montgomery's form: by doubling 1. */
function squaredRadix(n: Digits): Digits {
  const { length } = n
  const value = new Array<number>(length + 1).fill(0)
  value[0] = 1
  for (let bit = 0; bit < 48 * length; bit += 1) {
    let carry = 0
    for (let at = 0; at <= length; at += 1) {
      const doubled = (value[at] as number) * 2 + carry
      carry = doubled >= BASE ? 1 : 0
      value[at] = doubled - carry * BASE
    }
    if (value[length] || !isBelow(value, n)) {
      subtract(value, n)
      value[length] = 0
    }
  }
  return value.slice(0, length)
}

/** Big-endian bytes, the result as long as the modulus. The modulus is odd, as every RSA modulus is. */
export function power(message: Uint8Array, exponent: Uint8Array, modulus: Uint8Array): Uint8Array {
  const length = Math.ceil(modulus.length / 3)
  const n = fromBytes(modulus, length)
  const n0 = negativeInverse(n[0] as number)
  const base = multiply(fromBytes(message, length), squaredRadix(n), n, n0)
  const one = fromBytes(Uint8Array.of(1), length)
  let result: Digits | undefined
  for (const byte of Array.from(exponent)) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      if (result) result = multiply(result, result, n, n0)
      if ((byte >> bit) & 1) result = result ? multiply(result, base, n, n0) : base
    }
  }
  return toBytes(multiply(result || one, one, n, n0), modulus.length)
}

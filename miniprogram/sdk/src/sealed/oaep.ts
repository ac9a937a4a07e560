import { sha256 } from '@noble/hashes/sha2.js'
import { concat, xor } from './bytes'
import { power } from './modular'

const HASH_LENGTH = 32

/** MGF1 with SHA-256 (RFC 8017, appendix B.2.1). */
function mask(seed: Uint8Array, length: number): Uint8Array {
  const parts: Uint8Array[] = []
  for (let counter = 0; counter * HASH_LENGTH < length; counter += 1) {
    parts.push(sha256(concat(seed, Uint8Array.of(0, 0, counter >> 8, counter & 0xff))))
  }
  return concat(...parts).subarray(0, length)
}

/** RSAES-OAEP with SHA-256 and an empty label (RFC 8017, section 7.1.1). `seed`: 32 random bytes. */
export function encryptOaep(message: Uint8Array, seed: Uint8Array, n: Uint8Array, e: Uint8Array): Uint8Array {
  const room = n.length - 2 * HASH_LENGTH - 2 - message.length
  if (room < 0) throw new Error('the key is too short')
  const block = concat(sha256(new Uint8Array(0)), new Uint8Array(room), Uint8Array.of(1), message)
  const maskedBlock = xor(block, mask(seed, block.length))
  const maskedSeed = xor(seed, mask(maskedBlock, HASH_LENGTH))
  return power(concat(Uint8Array.of(0), maskedSeed, maskedBlock), e, n)
}

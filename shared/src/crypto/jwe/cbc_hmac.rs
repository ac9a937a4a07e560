//! `AES_CBC_HMAC_SHA2` (RFC 7518 §5.2): encrypt, then MAC over associated data, IV, ciphertext and
//! the length of the associated data. The content key is the MAC key followed by the encryption
//! key; the tag is the first half of the MAC.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use cbc::{Decryptor, Encryptor, cipher::KeyIvInit};
use hmac::{EagerHash, Hmac, KeyInit, Mac};

use super::JweError;
use crate::crypto::aes_cbc;

/// The ciphertext and its tag. `None` when key or IV has the wrong length.
pub(super) fn seal<C, D>(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)>
where
    C: BlockCipherEncrypt,
    Encryptor<C>: KeyIvInit,
    D: EagerHash,
{
    let (mac_key, cipher_key) = halves(key)?;
    let ciphertext = aes_cbc::encrypt::<C>(cipher_key, iv, plaintext)?;
    let mut tag = mac::<D>(mac_key, [aad, iv, &ciphertext])?
        .finalize()
        .into_bytes()
        .to_vec();
    tag.truncate(mac_key.len());
    Some((ciphertext, tag))
}

/// The plaintext, decrypted only when the tag is valid.
pub(super) fn open<C, D>(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    (ciphertext, tag): (&[u8], &[u8]),
) -> Result<Vec<u8>, JweError>
where
    C: BlockCipherDecrypt,
    Decryptor<C>: KeyIvInit,
    D: EagerHash,
{
    let (mac_key, cipher_key) = halves(key).ok_or(JweError)?;
    // The verification below accepts shorter tags, which would be easier to guess.
    if tag.len() != mac_key.len() {
        return Err(JweError);
    }
    let mac = mac::<D>(mac_key, [aad, iv, ciphertext]).ok_or(JweError)?;
    mac.verify_truncated_left(tag).map_err(|_| JweError)?;
    aes_cbc::decrypt::<C>(cipher_key, iv, ciphertext).ok_or(JweError)
}

fn halves(key: &[u8]) -> Option<(&[u8], &[u8])> {
    key.len()
        .is_multiple_of(2)
        .then(|| key.split_at(key.len() / 2))
}

fn mac<D: EagerHash>(key: &[u8], [aad, iv, ciphertext]: [&[u8]; 3]) -> Option<Hmac<D>> {
    let bits = u64::try_from(aad.len()).ok()?.checked_mul(8)?.to_be_bytes();
    let mac = Hmac::<D>::new_from_slice(key).ok()?;
    Some(
        mac.chain_update(aad)
            .chain_update(iv)
            .chain_update(ciphertext)
            .chain_update(bits),
    )
}

#[cfg(test)]
mod tests;

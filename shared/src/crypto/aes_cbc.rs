//! AES-CBC with PKCS#7 padding (NIST SP 800-38A §6.2, RFC 5652 §6.3).
//!
//! It does not authenticate: verify a MAC over the ciphertext first, or report every failure alike,
//! so that no padding oracle arises.

use cbc::{
    Decryptor, Encryptor,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7},
};

/// Encrypts under the cipher `C`. `None` when key or IV has the wrong length.
pub(crate) fn encrypt<C>(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Option<Vec<u8>>
where
    C: ::aes::cipher::BlockCipherEncrypt,
    Encryptor<C>: KeyIvInit,
{
    let cipher = Encryptor::<C>::new_from_slices(key, iv).ok()?;
    Some(cipher.encrypt_padded_vec::<Pkcs7>(plaintext))
}

/// Decrypts under the cipher `C`. `None` when key, IV or ciphertext has the wrong length, and for
/// wrong padding.
pub(crate) fn decrypt<C>(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>>
where
    C: ::aes::cipher::BlockCipherDecrypt,
    Decryptor<C>: KeyIvInit,
{
    let cipher = Decryptor::<C>::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).ok()
}

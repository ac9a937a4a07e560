//! The protection of messages that WeChat pushes: a signature over the query and, in secure mode,
//! encryption with AES.
//!
//! `signature = hex(sha1(concat(sort([token, timestamp, nonce]))))` does not cover the body;
//! `msg_signature` also covers the ciphertext, sorted with the rest. Cipher: AES-256-CBC, IV =
//! first 16 bytes of the key, PKCS#7 to **32**, plaintext = 16 random bytes ‖ length of the message
//! (4, big-endian) ‖ message ‖ `AppID`.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html

use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::{
    Decryptor, Encryptor,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha1::{Digest, Sha1};
use shared::lenient_json::is_layout;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The block size of the PKCS#7 padding: twice that of AES.
const PAD: usize = 32;

/// The message is not from WeChat, or not for this mini-program. For the log only: an attacker
/// learns nothing about the cause.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PushError {
    /// It was not signed with this token.
    #[error("the signature of a pushed message is wrong")]
    Signature,
    /// It was signed with this token, but not encrypted with this key.
    #[error("the ciphertext of a pushed message is wrong")]
    Ciphertext,
}

/// The signed parameters of the query, as text, because the signature covers the text.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Seconds since the epoch.
    pub timestamp: &'a str,
    /// A random number.
    pub nonce: &'a str,
}

/// A decrypted message.
pub struct Opened {
    /// JSON or XML. What was not UTF-8 is U+FFFD: it was signed, so it is what WeChat sent.
    pub message: String,
    /// The mini-program that it was encrypted for.
    pub receiver: String,
}

/// An encrypted reply.
pub struct Sealed {
    /// The ciphertext as base64.
    pub encrypt: String,
    /// Its signature.
    pub signature: String,
}

/// The secrets that a mini-program and WeChat share for message push.
pub struct PushSecrets {
    token: SecretString,
    key: Option<SecretBox<[u8; 32]>>,
}

impl PushSecrets {
    /// With a `key` (the 256 bits of an `EncodingAESKey`), messages must be encrypted.
    #[must_use]
    pub fn new(token: SecretString, key: Option<SecretBox<[u8; 32]>>) -> Self {
        Self { token, key }
    }

    /// Whether messages are encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.key.is_some()
    }

    /// Whether `signature` is valid for the query. It does not cover the body.
    #[must_use]
    pub fn verify_signature(&self, stamp: Stamp<'_>, signature: &str) -> bool {
        constant_time_eq(&self.sign(&[stamp.timestamp, stamp.nonce]), signature)
    }

    /// Decrypts `encrypt` after verifying `msg_signature`: the cipher itself would not detect a
    /// change. Blanks are no part of a ciphertext.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn open(
        &self,
        stamp: Stamp<'_>,
        msg_signature: &str,
        encrypt: &str,
    ) -> Result<Opened, PushError> {
        let compact: String = encrypt.chars().filter(|c| !is_layout(*c)).collect();
        let is_signed = |text: &str| {
            let signature = self.sign(&[stamp.timestamp, stamp.nonce, text]);
            constant_time_eq(&signature, msg_signature)
        };
        if !is_signed(&compact) && !is_signed(encrypt) {
            return Err(PushError::Signature);
        }
        self.decrypt(&compact).ok_or(PushError::Ciphertext)
    }

    fn decrypt(&self, encrypt: &str) -> Option<Opened> {
        let key = self.key.as_ref()?.expose_secret();
        let mut bytes = STANDARD.decode(encrypt).ok()?;
        let cipher = Decryptor::<Aes256>::new(key.into(), &iv(key).into());
        let padded = cipher.decrypt_padded::<NoPadding>(&mut bytes).ok()?;
        split_plaintext(unpad(padded)?)
    }

    /// Encrypts and signs a reply; `random` makes equal replies look different. `None` without a
    /// key.
    #[must_use]
    pub fn seal(
        &self,
        reply: &str,
        app_id: &str,
        stamp: Stamp<'_>,
        random: [u8; 16],
    ) -> Option<Sealed> {
        let key = self.key.as_ref()?.expose_secret();
        let length = u32::try_from(reply.len()).ok()?;
        let mut bytes = [
            &random[..],
            &length.to_be_bytes(),
            reply.as_bytes(),
            app_id.as_bytes(),
        ]
        .concat();
        pad(&mut bytes);
        let filled = bytes.len();
        let cipher = Encryptor::<Aes256>::new(key.into(), &iv(key).into());
        let encrypt = STANDARD.encode(
            cipher
                .encrypt_padded::<NoPadding>(&mut bytes, filled)
                .ok()?,
        );
        let signature = self.sign(&[stamp.timestamp, stamp.nonce, &encrypt]);
        Some(Sealed { encrypt, signature })
    }

    fn sign(&self, parts: &[&str]) -> String {
        let mut sorted = [&[self.token.expose_secret()], parts].concat();
        sorted.sort_unstable();
        hex::encode(Sha1::digest(sorted.concat()))
    }
}

/// Compares in constant time, so that a signature can't be guessed digit by digit.
fn constant_time_eq(expected: &str, claimed: &str) -> bool {
    expected.as_bytes().ct_eq(claimed.as_bytes()).into()
}

fn iv(key: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| key[at])
}

/// PKCS#7 to [`PAD`]; a full block gets another 32 bytes.
fn pad(bytes: &mut Vec<u8>) {
    let missing = PAD - bytes.len() % PAD;
    // 1 to 32.
    bytes.resize(
        bytes.len() + missing,
        u8::try_from(missing).unwrap_or_default(),
    );
}

fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let last = usize::from(*padded.last()?);
    if !padded.len().is_multiple_of(PAD) || !(1..=PAD).contains(&last) {
        return None;
    }
    let (content, padding) = padded.split_at_checked(padded.len() - last)?;
    padding
        .iter()
        .all(|byte| usize::from(*byte) == last)
        .then_some(content)
}

fn split_plaintext(plaintext: &[u8]) -> Option<Opened> {
    let (_random, rest) = plaintext.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (message, receiver) =
        rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
    Some(Opened {
        message: String::from_utf8_lossy(message).into_owned(),
        receiver: str::from_utf8(receiver).ok()?.to_owned(),
    })
}

#[cfg(test)]
mod tests;

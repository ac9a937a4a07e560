//! Data that WeChat encrypts and signs with a user's `session_key`.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html

use std::borrow::Cow;

use aes::Aes128;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::Mac;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::{aes_cbc, hmac_sha256};
use crate::lenient_json;

/// The length of an AES block, and so of an IV, in bytes.
const BLOCK: usize = 16;

/// The data is not in WeChat's form, so no key is tried. The texts contain none of it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MalformedData {
    /// Not base64 with padding.
    #[error("{field} is not base64: {hint}")]
    NotBase64 {
        /// The name of the field.
        field: &'static str,
        /// The likely mistake of the client.
        hint: &'static str,
    },
    /// Empty, or not whole blocks.
    #[error("encryptedData is not whole blocks of 16 bytes")]
    NotBlocks,
    /// An IV of another length.
    #[error("iv is not 16 bytes")]
    IvLength,
}

/// Why data does not open.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// One error for wrong padding, encoding and structure: telling them apart would let a sender
    /// of modified data learn about the plaintext.
    #[error("it opens with no key")]
    WrongKey,
    /// It did open, because it begins as an object and has WeChat's watermark; but what WeChat put
    /// into it can't be read. Another key would not help.
    #[error("it opens, but can't be read: {0}")]
    Unreadable(String),
}

/// Data in the form that WeChat sends: AES-128-CBC in whole blocks.
#[derive(Debug)]
pub struct EncryptedData {
    ciphertext: Vec<u8>,
    iv: [u8; BLOCK],
}

impl EncryptedData {
    /// Parses both texts, base64 with padding.
    ///
    /// # Errors
    /// [`MalformedData`].
    pub fn parse(encrypted_data: &str, iv: &str) -> Result<Self, MalformedData> {
        let ciphertext = decode("encryptedData", encrypted_data)?;
        let iv = decode("iv", iv)?;
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK) {
            return Err(MalformedData::NotBlocks);
        }
        let iv = iv.try_into().map_err(|_| MalformedData::IvLength)?;
        Ok(Self { ciphertext, iv })
    }

    /// The same data with another IV.
    #[must_use]
    pub fn with_iv(self, iv: [u8; BLOCK]) -> Self {
        Self { iv, ..self }
    }

    /// The decrypted JSON object, without its PKCS#7 padding. It is read leniently: it contains
    /// what people typed.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open(&self, session_key: &SecretString) -> Result<Map<String, Value>, DataError> {
        let key = STANDARD.decode(session_key.expose_secret());
        let key = Zeroizing::new(key.map_err(|_| DataError::WrongKey)?);
        let plain = aes_cbc::decrypt::<Aes128>(&key, &self.iv, &self.ciphertext)
            .ok_or(DataError::WrongKey)?;
        read_plaintext(&plain)
    }
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, MalformedData> {
    STANDARD.decode(text).map_err(|_| MalformedData::NotBase64 {
        field,
        hint: base64_hint(text),
    })
}

fn base64_hint(text: &str) -> &'static str {
    if text.contains(['\r', '\n']) {
        "it contains line breaks"
    } else if text.contains(' ') {
        "it contains blanks (a form-decoded plus sign)"
    } else if text.contains(['-', '_']) {
        "it uses the URL-safe alphabet"
    } else if text.contains('%') {
        "it is percent-encoded"
    } else {
        "a wrong character, or wrong padding"
    }
}

fn read_plaintext(plain: &[u8]) -> Result<Map<String, Value>, DataError> {
    let failure = |cause: String| {
        if has_watermark(plain) {
            DataError::Unreadable(cause)
        } else {
            DataError::WrongKey
        }
    };
    let text = text(plain).ok_or_else(|| failure("not UTF-8".to_owned()))?;
    lenient_json::read_object(&text).map_err(|error| failure(error.to_string()))
}

/// Whether a plaintext begins as an object and names WeChat's watermark: noise never does.
fn has_watermark(plain: &[u8]) -> bool {
    let text = String::from_utf8_lossy(plain);
    text.trim_start_matches(lenient_json::is_layout)
        .starts_with('{')
        && text.contains("\"watermark\"")
}

/// A plaintext as text. Surrogate pairs of CESU-8 are the characters that they mean, and a name that
/// was cut in the middle of a character ends with U+FFFD. Any other wrong encoding is not accepted:
/// CBC has no authentication, and a changed block becomes noise, which is hardly ever UTF-8.
fn text(plain: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(text) = str::from_utf8(plain) {
        return Some(text.into());
    }
    let plain = without_surrogate_pairs(plain);
    let mut text = String::with_capacity(plain.len());
    let mut chunks = plain.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let Some(first) = chunk.invalid().first() else {
            continue;
        };
        let ends_string = chunks.peek()?.valid().starts_with('"');
        let begins_character = *first >= 0xc2;
        (ends_string && begins_character).then_some(())?;
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Some(text.into())
}

/// CESU-8 as UTF-8: software that encodes UTF-16 unit by unit writes a character beyond U+FFFF as
/// two times three bytes, which UTF-8 never contains.
fn without_surrogate_pairs(plain: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(plain.len());
    let mut rest = plain;
    while let Some((first, after)) = rest.split_first() {
        let pair = rest.split_first_chunk::<6>();
        let character = pair.and_then(|(pair, after)| Some((surrogate_pair(*pair)?, after)));
        rest = if let Some((character, after)) = character {
            mended.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            after
        } else {
            mended.push(*first);
            after
        };
    }
    mended
}

/// The character of a surrogate pair, each half of which is three bytes.
fn surrogate_pair(pair: [u8; 6]) -> Option<char> {
    let [
        0xed,
        h1 @ 0xa0..=0xaf,
        h2 @ 0x80..=0xbf,
        0xed,
        l1 @ 0xb0..=0xbf,
        l2 @ 0x80..=0xbf,
    ] = pair
    else {
        return None;
    };
    let unit =
        |middle: u8, last: u8| 0xd000 | (u16::from(middle & 0x3f) << 6) | u16::from(last & 0x3f);
    char::decode_utf16([unit(h1, h2), unit(l1, l2)])
        .next()?
        .ok()
}

/// Whether `signature` is `hex(sha1(rawData ‖ session_key as its base64 text))`, over exactly the
/// text received. Compared in constant time.
#[must_use]
pub fn is_raw_data_signature(raw_data: &str, session_key: &SecretString, signature: &str) -> bool {
    let digest = Sha1::new()
        .chain_update(raw_data)
        .chain_update(session_key.expose_secret())
        .finalize();
    let mut given = [0; 20];
    hex::decode_to_slice(signature.trim(), &mut given).is_ok()
        && bool::from(digest.as_slice().ct_eq(&given))
}

/// `hex(HMAC-SHA256(key = session_key as its base64 text, message))`: the signature that
/// checkSessionKey and similar interfaces take. The key is its base64 text; decoding it first is
/// the classic mistake.
#[must_use]
pub fn session_signature(session_key: &SecretString, message: &[u8]) -> String {
    let mac = hmac_sha256(session_key.expose_secret().as_bytes());
    hex::encode(mac.chain_update(message).finalize().into_bytes())
}

#[cfg(test)]
mod tests;

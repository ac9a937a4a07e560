//! The five parts of a JWE, parsed and serialized in both forms.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{JweError, header::object};

/// The longest protected header, in base64url characters: 1.5 KB of JSON, most of it `htu`.
const MAX_PROTECTED: usize = 2048;
/// The longest wrapped key, in base64url characters: RSA-4096.
const MAX_WRAPPED: usize = 683;
/// The longest IV, in base64url characters: 16 bytes.
const MAX_IV: usize = 22;
/// The longest tag, in base64url characters: 32 bytes.
const MAX_TAG: usize = 43;

/// The serialization of a JWE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Five parts separated by dots (RFC 7516 §7.1), `application/jose`.
    Compact,
    /// A JSON object for one recipient (RFC 7516 §7.2.2), `application/jose+json`.
    Flattened,
}

/// The decoded parts. `protected` stays text, because the text is what is authenticated (RFC 7516
/// §5.1, step 14).
pub(super) struct Parts {
    pub(super) protected: String,
    pub(super) encrypted_key: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// The parts as text. Other members (`unprotected`, `header`, `aad`, `recipients`) are rejected.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts<'a> {
    #[serde(borrow)]
    protected: Cow<'a, str>,
    /// Absent when empty (RFC 7516 §7.2.1).
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    encrypted_key: Cow<'a, str>,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

impl Parts {
    /// Parses a JWE. Limits the length of each part but the ciphertext, which the limit on the
    /// request body bounds.
    pub(super) fn parse(jwe: &[u8], form: Form) -> Result<Self, JweError> {
        match form {
            Form::Compact => Texts::split(jwe)?.decode(),
            Form::Flattened => object::<Texts<'_>>(jwe)?.decode(),
        }
    }

    /// The protected header's JSON.
    pub(super) fn header(&self) -> Result<Vec<u8>, JweError> {
        decode(&self.protected, MAX_PROTECTED)
    }

    /// Serializes the JWE.
    pub(super) fn write(&self, form: Form) -> String {
        let encode = |bytes: &[u8]| Cow::from(URL_SAFE_NO_PAD.encode(bytes));
        let texts = Texts {
            protected: Cow::from(&self.protected),
            encrypted_key: encode(&self.encrypted_key),
            iv: encode(&self.iv),
            ciphertext: encode(&self.ciphertext),
            tag: encode(&self.tag),
        };
        match form {
            Form::Compact => [
                texts.protected,
                texts.encrypted_key,
                texts.iv,
                texts.ciphertext,
                texts.tag,
            ]
            .join("."),
            // Serializing strings to memory can't fail.
            Form::Flattened => serde_json::to_string(&texts).unwrap_or_default(),
        }
    }
}

impl<'a> Texts<'a> {
    fn split(jwe: &'a [u8]) -> Result<Self, JweError> {
        let text = str::from_utf8(jwe).map_err(|_| JweError)?;
        let mut parts = text.split('.').map(Cow::from);
        let mut next = || parts.next().ok_or(JweError);
        let texts = Self {
            protected: next()?,
            encrypted_key: next()?,
            iv: next()?,
            ciphertext: next()?,
            tag: next()?,
        };
        if parts.next().is_none() {
            Ok(texts)
        } else {
            Err(JweError)
        }
    }

    fn decode(self) -> Result<Parts, JweError> {
        if self.protected.len() > MAX_PROTECTED {
            return Err(JweError);
        }
        Ok(Parts {
            encrypted_key: decode(&self.encrypted_key, MAX_WRAPPED)?,
            iv: decode(&self.iv, MAX_IV)?,
            tag: decode(&self.tag, MAX_TAG)?,
            ciphertext: decode(&self.ciphertext, usize::MAX)?,
            protected: self.protected.into_owned(),
        })
    }
}

/// Strict base64url: each value has one text only, so that a changed text is a changed value.
fn decode(text: &str, max_len: usize) -> Result<Vec<u8>, JweError> {
    if text.len() > max_len {
        return Err(JweError);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JweError)
}

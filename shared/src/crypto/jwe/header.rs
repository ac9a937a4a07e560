//! The protected headers of a request and of its answer. Each type lists every field that is
//! accepted.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Enc, JweError};

/// `alg` of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Wrapping {
    #[default]
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
}

/// `alg` of an answer, which uses the request's content key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Direct {
    #[default]
    #[serde(rename = "dir")]
    Dir,
}

/// The header of a request: not encrypted, but authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestHeader {
    alg: Wrapping,
    /// The content encryption algorithm.
    pub enc: Enc,
    /// The id of the RSA key that wraps the content key.
    pub kid: String,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// The unique id of this request.
    pub jti: String,
    /// The HTTP method of the request.
    pub htm: String,
    /// The path and query of the request.
    pub htu: String,
    /// The hash of the access token that the request carries, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
    /// `JOSE` or `JOSE+JSON` (RFC 7516 §4.1.11), if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// The content type: `json`, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cty: Option<String>,
}

impl RequestHeader {
    /// The header of a request with the id `jti`, made at `iat` for one method and path.
    #[must_use]
    pub fn new(enc: Enc, kid: &str, (iat, jti): (i64, &str), (htm, htu): (&str, &str)) -> Self {
        let [kid, jti, htm, htu] = [kid, jti, htm, htu].map(str::to_owned);
        Self {
            alg: Wrapping::RsaOaep256,
            enc,
            kid,
            iat,
            jti,
            htm,
            htu,
            ath: None,
            typ: None,
            cty: Some("json".to_owned()),
        }
    }

    /// The same, for a request that carries this access token.
    #[must_use]
    pub fn for_token(self, token: &str) -> Self {
        Self {
            ath: Some(access_token_hash(token)),
            ..self
        }
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, JweError> {
        let header: Self = object(json)?;
        let one_of = |value: &Option<String>, names: [&str; 2]| {
            value
                .as_ref()
                .is_none_or(|value| names.iter().any(|name| value.eq_ignore_ascii_case(name)))
        };
        let is_valid = one_of(&header.typ, ["JOSE", "JOSE+JSON"])
            && one_of(&header.cty, ["json", "application/json"]);
        is_valid.then_some(header).ok_or(JweError)
    }
}

/// The value of `ath` for an access token (RFC 9449 §4.2): base64url of its SHA-256.
#[must_use]
pub fn access_token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// The header of an answer: not encrypted, but authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerHeader {
    alg: Direct,
    /// The content encryption algorithm, the same as the request's.
    pub enc: Enc,
    /// The content type: `json` for the response envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// The id of the request that this answers.
    pub jti: String,
}

impl AnswerHeader {
    pub(super) fn new(enc: Enc, cty: Option<String>, iat: i64, jti: &str) -> Self {
        Self {
            alg: Direct::Dir,
            enc,
            cty,
            iat,
            jti: jti.to_owned(),
        }
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, JweError> {
        object(json)
    }
}

/// Accepts an object only: serde would also read a struct from an array of its fields in order.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, JweError> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(JweError);
    }
    serde_json::from_slice(json).map_err(|_| JweError)
}

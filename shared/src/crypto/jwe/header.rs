//! The protected headers: of a request, and of its answer. Both name every field there may be.

use serde::{Deserialize, Serialize};

use super::{Enc, JweError};

/// `alg` of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Wrapping {
    #[default]
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
}

/// `alg` of an answer: its key is the request's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Direct {
    #[default]
    #[serde(rename = "dir")]
    Dir,
}

/// What a request says in clear, and authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestHeader {
    alg: Wrapping,
    /// How the content is encrypted.
    pub enc: Enc,
    /// The RSA key.
    pub kid: String,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// Names this request among all.
    pub jti: String,
    /// The method it was made for.
    pub htm: String,
    /// The path and query it was made for.
    pub htu: String,
    /// `JOSE` or `JOSE+JSON` (RFC 7516 §4.1.11), if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    /// `json`, if anything: the content is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cty: Option<String>,
}

impl RequestHeader {
    /// Of a request made at `iat`, known as `jti`, for one method and path.
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
            typ: None,
            cty: Some("json".to_owned()),
        }
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, JweError> {
        let header: Self = object(json)?;
        let one_of = |value: &Option<String>, names: [&str; 2]| {
            value
                .as_ref()
                .is_none_or(|value| names.iter().any(|name| value.eq_ignore_ascii_case(name)))
        };
        let right = one_of(&header.typ, ["JOSE", "JOSE+JSON"])
            && one_of(&header.cty, ["json", "application/json"]);
        right.then_some(header).ok_or(JweError)
    }
}

/// What an answer says in clear, and authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerHeader {
    alg: Direct,
    /// How the content is encrypted: as the request's.
    pub enc: Enc,
    /// What the content is, `json` for an envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub iat: i64,
    /// The request that this answers.
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

/// serde would take an array for a struct, its fields in order.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, JweError> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(JweError);
    }
    serde_json::from_slice(json).map_err(|_| JweError)
}

//! `POST /api/v1/user/decrypt`: decrypts data that `wx.*` APIs encrypt with the caller's
//! `session_key`.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{
    api::{ApiError, Checks, Input, Json, Optional, Reason, Rule, Success},
    auth::Claims,
    clock::Clock,
    config::UserDataSettings,
    crypto::{DataError, EncryptedData, MalformedData, is_raw_data_signature},
    edge::AuthenticatedUser,
    instance::Instance,
    lenient_json::is_layout,
    users::IdentityKeys,
};
use thiserror::Error;

use crate::session_key::SessionKeys;

/// How far WeChat's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 60;

/// Data that WeChat encrypted with the `session_key`.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "DecryptBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawInput {
    /// Base64.
    encrypted_data: String,
    /// Base64 of 16 bytes.
    iv: String,
    /// Only with `signature`.
    #[serde(default)]
    raw_data: Optional<String>,
    /// Only with `rawData`.
    #[serde(default)]
    signature: Optional<String>,
    /// Whether WeChat is asked first whether its key is still current.
    #[serde(default)]
    check_session: bool,
}

/// The encrypted data, as the mini-program got it from WeChat.
pub struct DataInput {
    encrypted_data: String,
    iv: String,
    signed: Option<Signed>,
    /// Whether to check with WeChat first that the key is still the user's.
    check_session: bool,
}

/// The plaintext that accompanied the data, with its signature.
struct Signed {
    raw_data: String,
    signature: String,
}

impl Input for DataInput {
    type Raw = RawInput;

    fn parse(raw: RawInput, checks: &mut Checks) -> Option<Self> {
        let RawInput {
            encrypted_data,
            iv,
            raw_data,
            signature,
            check_session,
        } = raw;
        let signed = match (raw_data.0, signature.0) {
            (None, None) => None,
            // The text and its signature are only useful together.
            (raw_data, signature) => {
                let raw_data = checks.field("rawData", Rule::Required, raw_data);
                let signature = checks.field("signature", Rule::Required, signature);
                Some(Signed {
                    raw_data: raw_data?,
                    signature: signature?,
                })
            }
        };
        Some(Self {
            encrypted_data,
            iv,
            signed,
            check_session,
        })
    }
}

/// Why data is not accepted. For the log only; the client sees two reasons.
#[derive(Debug, Error)]
enum DecryptError {
    #[error(transparent)]
    Malformed(MalformedData),
    #[error("session keys: {0}")]
    Data(DataError),
    #[error("signature: not of rawData under the key that opens encryptedData")]
    Signature,
    #[error("watermark: missing, or not an AppID and a time")]
    NoWatermark,
    #[error("watermark: of another mini-program")]
    AnotherMiniProgram,
    #[error("watermark: {age} s old, see WATERMARK_MAX_AGE_SECONDS")]
    TooOld { age: i64 },
    #[error("watermark: {ahead} s in the future, check the clock")]
    InTheFuture { ahead: i64 },
}

impl From<DecryptError> for ApiError {
    /// Data that none of the user's keys opens is `session_key_stale`: a ciphertext does not
    /// identify its key, and the remedy is another login. Everything else is `decrypt_failed`.
    fn from(error: DecryptError) -> Self {
        let reason = match error {
            DecryptError::Data(DataError::WrongKey) => Reason::SessionKeyStale,
            _ => Reason::DecryptFailed,
        };
        Self::new(reason).because(&error)
    }
}

/// Decrypts data.
pub struct Decryption {
    keys: SessionKeys,
    clock: Clock,
    max_age: Duration,
}

impl Decryption {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        let max_age = UserDataSettings::read(instance.env()).watermark_max_age;
        Self {
            keys,
            clock: instance.clock(),
            max_age,
        }
    }

    async fn open(
        &self,
        caller: &Claims,
        input: &DataInput,
    ) -> Result<Map<String, Value>, ApiError> {
        let data = EncryptedData::parse(&input.encrypted_data, &input.iv);
        let data = data.map_err(DecryptError::Malformed)?;
        let identity = self.keys.identity(caller).await?;
        if input.check_session {
            self.keys.check(caller, &identity).await?;
        }
        let (key, data) = open_with_any(candidates(&identity, input.check_session), &data)?;
        if let Some(Signed {
            raw_data,
            signature,
        }) = &input.signed
            && !is_raw_data_signature(raw_data, key, signature)
        {
            return Err(DecryptError::Signature.into());
        }
        self.check_watermark(&data, caller)?;
        Ok(data)
    }

    /// The watermark has to name this mini-program and a recent time.
    fn check_watermark(
        &self,
        data: &Map<String, Value>,
        caller: &Claims,
    ) -> Result<(), DecryptError> {
        let mark = data.get("watermark").and_then(Value::as_object);
        let appid = mark.and_then(|mark| mark.get("appid")?.as_str());
        let timestamp = mark.and_then(|mark| seconds(mark.get("timestamp")?));
        let (Some(appid), Some(timestamp)) = (appid, timestamp) else {
            return Err(DecryptError::NoWatermark);
        };
        if appid.trim_matches(is_layout) != caller.aud.as_str() {
            return Err(DecryptError::AnotherMiniProgram);
        }
        let age = self.clock.now_seconds().saturating_sub(timestamp);
        if age > i64::try_from(self.max_age.as_secs()).unwrap_or(i64::MAX) {
            return Err(DecryptError::TooOld { age });
        }
        if age < -AHEAD {
            return Err(DecryptError::InTheFuture {
                ahead: age.saturating_neg(),
            });
        }
        Ok(())
    }
}

/// A time in whole seconds, as a number or its text, in any notation (`1795649514.0`).
fn seconds(time: &Value) -> Option<i64> {
    let text = match time {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim_matches(is_layout).to_owned(),
        _ => return None,
    };
    // Rust writes a whole float without a fraction or an exponent.
    let as_float = || text.parse::<f64>().ok()?.to_string().parse::<i64>().ok();
    text.parse().ok().or_else(as_float)
}

/// The data with the key that opens it. Data that a key opens to something unreadable would not
/// open with another one.
fn open_with_any<'a>(
    keys: impl Iterator<Item = &'a SecretString>,
    data: &EncryptedData,
) -> Result<(&'a SecretString, Map<String, Value>), DecryptError> {
    for key in keys {
        match data.open(key) {
            Ok(opened) => return Ok((key, opened)),
            Err(DataError::WrongKey) => {}
            Err(error) => return Err(DecryptError::Data(error)),
        }
    }
    Err(DecryptError::Data(DataError::WrongKey))
}

/// The keys to try: only the current one after WeChat has confirmed it.
fn candidates(identity: &IdentityKeys, confirmed: bool) -> impl Iterator<Item = &SecretString> {
    identity.keys().take(if confirmed { 1 } else { usize::MAX })
}

pub async fn decrypt(
    caller: AuthenticatedUser,
    State(decryption): State<Arc<Decryption>>,
    Json(input): Json<DataInput>,
) -> Result<Success<Map<String, Value>>, ApiError> {
    Ok(Success(decryption.open(&caller.claims, &input).await?))
}

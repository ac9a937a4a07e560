//! `POST /api/v1/user/decrypt`: decrypts data that `wx.*` APIs encrypt with the caller's
//! `session_key`.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{
    api::{ApiError, Checks, Input, Json, Reason, Rule, Success},
    auth::Claims,
    clock::Clock,
    config::UserDataSettings,
    crypto::{EncryptedData, is_raw_data_signature},
    edge::AuthenticatedUser,
    instance::Instance,
    users::IdentityKeys,
};

use crate::session_key::SessionKeys;

/// How far WeChat's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawInput {
    encrypted_data: String,
    iv: String,
    raw_data: Option<String>,
    signature: Option<String>,
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
        let signed = match (raw_data, signature) {
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

    /// Malformed data is `decrypt_failed` before any key is fetched. Data that none of the user's
    /// keys opens is `session_key_stale`: a ciphertext does not identify its key, and the remedy is
    /// another login. Wrong padding or text gets this reason, too. Data that opens but is for
    /// another mini-program, too old or wrongly signed is `decrypt_failed`.
    async fn open(
        &self,
        caller: &Claims,
        input: &DataInput,
    ) -> Result<Map<String, Value>, ApiError> {
        let data =
            EncryptedData::parse(&input.encrypted_data, &input.iv).ok_or(Reason::DecryptFailed)?;
        let identity = self.keys.identity(caller).await?;
        if input.check_session {
            self.keys.check(caller, &identity).await?;
        }
        let opened = candidates(&identity, input.check_session)
            .find_map(|key| Some((key, data.open(key).ok()?)));
        let (key, data) = opened.ok_or(Reason::SessionKeyStale)?;
        let signed = input.signed.as_ref();
        let unsigned = signed
            .is_some_and(|signed| !is_raw_data_signature(&signed.raw_data, key, &signed.signature));
        if unsigned || !self.has_valid_watermark(&data, caller) {
            return Err(Reason::DecryptFailed.into());
        }
        Ok(data)
    }

    /// Whether the watermark names this mini-program and a recent time.
    fn has_valid_watermark(&self, data: &Map<String, Value>, caller: &Claims) -> bool {
        let mark = data.get("watermark").and_then(Value::as_object);
        let appid = mark.and_then(|mark| mark.get("appid")?.as_str());
        let timestamp = mark.and_then(|mark| mark.get("timestamp")?.as_i64());
        let now = self.clock.now_seconds();
        let oldest = now.saturating_sub_unsigned(self.max_age.as_secs());
        let newest = now.saturating_add_unsigned(AHEAD.as_secs());
        appid == Some(caller.aud.as_str())
            && timestamp.is_some_and(|time| (oldest..=newest).contains(&time))
    }
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

//! `POST /api/v1/user/phone`: binds the number that the user shared with the phone number button.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::{
    api::{ApiError, Checks, Input, Json, Rule, Success},
    auth::Claims,
    edge::AuthenticatedUser,
    encrypted_kv::EncryptedKv,
    instance::Instance,
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
    users::{PhoneNumbers, User},
    values::{OneTimeCode, Phone},
    wechat::WeChatError,
};

use crate::session_key::SessionKeys;

/// As long as WeChat keeps a code.
const CODE_TTL: Duration = Duration::from_mins(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCode {
    code: SecretString,
}

/// A code of the phone number button.
pub struct PhoneInput(OneTimeCode);

impl Input for PhoneInput {
    type Raw = RawCode;

    fn parse(raw: RawCode, checks: &mut Checks) -> Option<Self> {
        let code = OneTimeCode::parse(raw.code);
        checks.field("code", Rule::PhoneCode, code).map(Self)
    }
}

/// Fetches numbers from WeChat and binds them.
pub struct Phones {
    keys: SessionKeys,
    numbers: PhoneNumbers,
    codes: PhoneCodeCache,
}

impl Phones {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        Self {
            keys,
            numbers: instance.phone_numbers(),
            codes: PhoneCodeCache {
                numbers: instance.encrypted_kv(),
                invalid: instance.kv(),
            },
        }
    }

    async fn bind(&self, caller: &Claims, code: &OneTimeCode) -> Result<User, ApiError> {
        let key = key(caller, code);
        let phone = match self.codes.get(&key).await {
            Some(phone) => phone,
            None if self.codes.is_invalid(&key).await => {
                return Err(WeChatError::PhoneCodeInvalid.into());
            }
            None => self.fetch(caller, code, &key).await?,
        };
        Ok(self.numbers.bind(caller.sub, &phone).await?)
    }

    async fn fetch(
        &self,
        caller: &Claims,
        code: &OneTimeCode,
        key: &str,
    ) -> Result<Phone, ApiError> {
        let identity = self.keys.identity(caller).await?;
        match self
            .keys
            .wechat
            .phone_number(&caller.aud, &identity.open_id, code)
            .await
        {
            Ok(phone) => {
                self.codes.put(key, &phone).await;
                Ok(phone)
            }
            // A concurrent duplicate of this request may have used the code first.
            Err(WeChatError::PhoneCodeInvalid) => {
                if let Some(phone) = self.codes.get(key).await {
                    return Ok(phone);
                }
                self.codes.put_invalid(key).await;
                Err(WeChatError::PhoneCodeInvalid.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The numbers behind codes, cached for a code's lifetime: a code works once, but a client repeats
/// a request whose response was lost or that failed to store the number. Encrypted, and for the
/// same user only.
///
/// An invalid code is remembered, too: WeChat would refuse it again. That is only looked up where
/// there is no number, so a number that a concurrent request stores later is found.
struct PhoneCodeCache {
    numbers: EncryptedKv,
    invalid: Kv,
}

impl PhoneCodeCache {
    async fn get(&self, key: &str) -> Option<Phone> {
        let number = self.numbers.get_text(key).await.or_degraded("phone code");
        number.flatten().map(Phone::from_stored)
    }

    async fn put(&self, key: &str, phone: &Phone) {
        self.numbers
            .put_text(key, phone.secret(), CODE_TTL, Delivery::Required)
            .await
            .or_degraded("phone code");
    }
}

impl PhoneCodeCache {
    async fn is_invalid(&self, key: &str) -> bool {
        let known = self.invalid.get([&invalid_key(key)]).await;
        known
            .or_degraded("phone code")
            .is_some_and(|[value]| value.is_some())
    }

    async fn put_invalid(&self, key: &str) {
        let record = Record {
            key: &invalid_key(key),
            value: b"1",
            ttl: CODE_TTL,
        };
        self.invalid
            .put(record, Delivery::BestEffort)
            .await
            .or_degraded("phone code");
    }
}

fn invalid_key(key: &str) -> String {
    format!("{key}:invalid")
}

/// A hash: the code itself is never stored, and nothing with a user's id stays behind when the
/// account is deleted.
fn key(caller: &Claims, code: &OneTimeCode) -> String {
    let hash = Sha256::new()
        .chain_update(caller.sub.0.as_bytes())
        .chain_update(caller.aud.as_str())
        .chain_update([0])
        .chain_update(code.expose());
    format!("{{phone:{}}}", hex::encode(hash.finalize()))
}

pub async fn bind(
    caller: AuthenticatedUser,
    State(phones): State<Arc<Phones>>,
    Json(PhoneInput(code)): Json<PhoneInput>,
) -> Result<Success<User>, ApiError> {
    Ok(Success(phones.bind(&caller.claims, &code).await?))
}

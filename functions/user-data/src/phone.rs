//! `POST /api/v1/user/phone`: binds the number that the user shared by the phone button.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::{
    api::{ApiError, Checks, Input, Json, Rule, Success},
    auth::Claims,
    crypto::AtRest,
    edge::SignedInUser,
    instance::Instance,
    kv::{Kv, Record},
    random::Random,
    telemetry,
    users::{Phone, PhoneBook, User},
    wechat::WeChatError,
};

use crate::session_key::SessionKeys;

/// As long as WeChat keeps a code.
const LIFE: Duration = Duration::from_mins(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCode {
    code: SecretString,
}

/// A code of the phone button.
pub struct PhoneInput(SecretString);

impl Input for PhoneInput {
    type Raw = RawCode;

    fn parse(raw: RawCode, checks: &mut Checks) -> Option<Self> {
        let text = raw.code.expose_secret();
        let fits =
            (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        checks
            .field("code", Rule::PhoneCode, fits.then_some(raw.code))
            .map(Self)
    }
}

/// Finds numbers out and binds them.
pub struct Phones {
    keys: SessionKeys,
    book: PhoneBook,
    told: Told,
}

impl Phones {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        let told = Told {
            kv: instance.kv(),
            at_rest: instance.at_rest(),
            random: instance.random(),
        };
        Self {
            keys,
            book: instance.phone_book(),
            told,
        }
    }

    async fn bind(&self, caller: &Claims, code: &SecretString) -> Result<User, ApiError> {
        let key = key(caller, code);
        let phone = match self.told.get(&key).await {
            Some(phone) => phone,
            None => self.ask(caller, code, &key).await?,
        };
        Ok(self.book.bind(caller.sub, &phone).await?)
    }

    async fn ask(
        &self,
        caller: &Claims,
        code: &SecretString,
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
                self.told.put(key, &phone).await;
                Ok(phone)
            }
            // Perhaps the same request, sent twice, was faster.
            Err(WeChatError::PhoneCodeInvalid) => self
                .told
                .get(key)
                .await
                .ok_or_else(|| WeChatError::PhoneCodeInvalid.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What WeChat has told about codes, for as long as they would live: a code works once, and a
/// request whose answer was lost, or that could not write the number down, comes again. Encrypted,
/// and for the same user only.
struct Told {
    kv: Kv,
    at_rest: AtRest,
    random: Random,
}

impl Told {
    async fn get(&self, key: &str) -> Option<Phone> {
        match self.kv.get([key]).await {
            Ok([sealed]) => {
                let number = self
                    .at_rest
                    .open(std::str::from_utf8(&sealed?).ok()?, key)
                    .ok()?;
                Some(Phone::from_stored(number))
            }
            Err(error) => {
                telemetry::degraded("phone code", &error);
                None
            }
        }
    }

    async fn put(&self, key: &str, phone: &Phone) {
        let Some(sealed) = self.at_rest.seal(phone.secret(), key, &self.random) else {
            return;
        };
        let record = Record {
            key,
            value: sealed.as_bytes(),
            life: LIFE,
        };
        if let Err(error) = self.kv.put(record).await {
            telemetry::degraded("phone code", &error);
        }
    }
}

/// The code itself stands nowhere, only its hash.
fn key(caller: &Claims, code: &SecretString) -> String {
    let hash = Sha256::new()
        .chain_update(caller.aud.as_str())
        .chain_update([0])
        .chain_update(code.expose_secret());
    format!(
        "{{u:{}}}:phone:{}",
        caller.sub,
        hex::encode(hash.finalize())
    )
}

pub async fn bind(
    caller: SignedInUser,
    State(phones): State<Arc<Phones>>,
    Json(PhoneInput(code)): Json<PhoneInput>,
) -> Result<Success<User>, ApiError> {
    Ok(Success(phones.bind(&caller.claims, &code).await?))
}

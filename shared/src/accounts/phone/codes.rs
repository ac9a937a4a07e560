//! The numbers behind codes of the phone number button. WeChat is asked about a code once.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{
    encrypted_kv::EncryptedKv,
    ids::{AppId, OpenId},
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
    values::{OneTimeCode, Phone},
    wechat::{AuthorizedWeChat, WeChatError},
};

/// As long as WeChat keeps a code.
const CODE_TTL: Duration = Duration::from_mins(5);
/// Its name in `degraded` log lines.
const WHAT: &str = "phone code";

/// Exchanges codes for numbers. Each number is remembered for its code's lifetime: a code works once,
/// but a client repeats a request whose response was lost or that failed to store the number.
/// Encrypted, and for the same person in the same mini-program only.
///
/// An invalid code is remembered, too: WeChat would refuse it again. That counts only where there is
/// no number, so a number that a concurrent request stores later is found.
pub struct PhoneCodes {
    wechat: AuthorizedWeChat,
    numbers: EncryptedKv,
    invalid: Kv,
}

impl PhoneCodes {
    /// Codes of `wechat`, remembered in `numbers` and `invalid`.
    #[must_use]
    pub fn new(wechat: AuthorizedWeChat, numbers: EncryptedKv, invalid: Kv) -> Self {
        Self {
            wechat,
            numbers,
            invalid,
        }
    }

    /// The number that the person `open_id` shared in the mini-program. WeChat checks that the code
    /// was issued to them.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn number(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        code: &OneTimeCode,
    ) -> Result<Phone, WeChatError> {
        let key = key(app_id, open_id, code);
        let (known, is_invalid) = futures_util::join!(self.known(&key), self.is_invalid(&key));
        if let Some(phone) = known {
            return Ok(phone);
        }
        if is_invalid {
            return Err(WeChatError::PhoneCodeInvalid);
        }
        match self.wechat.phone_number(app_id, open_id, code).await {
            Ok(phone) => {
                self.remember(&key, &phone).await;
                Ok(phone)
            }
            // A concurrent duplicate of this request may have used the code first.
            Err(WeChatError::PhoneCodeInvalid) => {
                if let Some(phone) = self.known(&key).await {
                    return Ok(phone);
                }
                self.remember_invalid(&key).await;
                Err(WeChatError::PhoneCodeInvalid)
            }
            Err(error) => Err(error),
        }
    }

    async fn known(&self, key: &str) -> Option<Phone> {
        let number = self.numbers.get_text(key).await.or_degraded(WHAT);
        number.flatten().map(Phone::from_stored)
    }

    async fn remember(&self, key: &str, phone: &Phone) {
        self.numbers
            .put_text(key, phone.secret(), CODE_TTL, Delivery::Required)
            .await
            .or_degraded(WHAT);
    }

    async fn is_invalid(&self, key: &str) -> bool {
        let known = self.invalid.get([&invalid_key(key)]).await;
        known
            .or_degraded(WHAT)
            .is_some_and(|[value]| value.is_some())
    }

    async fn remember_invalid(&self, key: &str) {
        let record = Record {
            key: &invalid_key(key),
            value: b"1",
            ttl: CODE_TTL,
        };
        self.invalid
            .put(record, Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }
}

fn invalid_key(key: &str) -> String {
    format!("{key}:invalid")
}

/// A hash: the code itself is never stored, and nothing with a person's id stays behind when the
/// account is deleted.
fn key(app_id: &AppId, open_id: &OpenId, code: &OneTimeCode) -> String {
    let hash = Sha256::new()
        .chain_update(app_id.as_str())
        .chain_update([0])
        .chain_update(open_id.as_str())
        .chain_update([0])
        .chain_update(code.expose());
    format!("{{phone:{}}}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(app_id: &str, open_id: &str, code: &str) -> String {
        let code = OneTimeCode::parse(code.into()).unwrap();
        key(&app_id.parse().unwrap(), &open_id.parse().unwrap(), &code)
    }

    #[test]
    fn a_number_is_remembered_for_one_person_in_one_mini_program() {
        let one = key_of("wx1", "o1", "code");
        assert_eq!(one, key_of("wx1", "o1", "code"));
        for other in [
            key_of("wx2", "o1", "code"),
            key_of("wx1", "o2", "code"),
            key_of("wx1", "o1", "other"),
        ] {
            assert_ne!(one, other);
        }
        assert!(!one.contains("code") && !one.contains("o1"));
    }
}

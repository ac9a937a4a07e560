//! Signatures of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// How secrets begin.
const PREFIX: &str = "whsec_";
/// How many bytes a secret may have.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that a receiver shares. It has no `Debug`.
pub struct WebhookSecret(SecretSlice<u8>);

impl WebhookSecret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        BYTES
            .contains(&bytes.len())
            .then(|| Self(SecretSlice::from(bytes)))
    }

    fn sign(&self, id: &str, timestamp: i64, payload: &str) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("a key");
        let signed = mac.chain_update(format!("{id}.{timestamp}.{payload}"));
        format!("v1,{}", STANDARD.encode(signed.finalize().into_bytes()))
    }
}

/// The header `webhook-signature`: a signature by each of these secrets. A receiver accepts the message
/// if it knows one of them, so secrets change without a gap.
pub fn signatures(secrets: &[WebhookSecret], id: &str, timestamp: i64, payload: &str) -> String {
    let each = secrets.iter();
    let each: Vec<_> = each
        .map(|secret| secret.sign(id, timestamp, payload))
        .collect();
    each.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the libraries' own tests (`test_sign_function`).
    #[test]
    fn a_signature_is_that_of_the_projects_own_libraries() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let payload = r#"{"test": 2432232314}"#;
        assert_eq!(
            signatures(
                &[secret],
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                payload
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_secret_signs() {
        let secrets = [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ];
        let secrets = secrets.map(|text| WebhookSecret::parse(text).unwrap());
        let both = signatures(&secrets, "i", 1, "{}");
        let each: Vec<_> = both.split(' ').collect();
        assert_eq!(each.len(), 2);
        for (signature, secret) in each.iter().zip(&secrets) {
            assert_eq!(*signature, secret.sign("i", 1, "{}"));
        }
        assert_ne!(each[0], each[1]);
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for right in [of(24), of(64)] {
            assert!(WebhookSecret::parse(&right).is_some(), "{right}");
        }
        for wrong in [
            of(23),
            of(65),
            of(24).replace("whsec_", ""),
            "whsec_?".into(),
            String::new(),
        ] {
            assert!(WebhookSecret::parse(&wrong).is_none(), "{wrong}");
        }
    }
}

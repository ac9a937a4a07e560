//! Refresh tokens: `rt1.<base64url(uid ‖ sid ‖ counter ‖ HMAC)>`.
//!
//! uid and sid 16 bytes each, counter 4 bytes big-endian, HMAC-SHA256 32 bytes over all that comes
//! before it. The user id is in it because the session's row stands under it. The successor of a
//! token is a pure function of the row, so requests that refresh at the same time all get the
//! identical one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;
use uuid::Uuid;

use crate::ids::{SessionId, UserId};

const PREFIX: &str = "rt1.";
const BODY: usize = 16 + 16 + 4;

/// The text was not issued by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a refresh token of ours")]
pub struct RefreshTokenError;

/// What a refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session's user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// How often the session had been refreshed when the token was issued.
    pub(super) counter: u32,
}

impl RefreshToken {
    fn body(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[..16].copy_from_slice(self.user.0.as_bytes());
        body[16..32].copy_from_slice(self.session.0.as_bytes());
        body[32..].copy_from_slice(&self.counter.to_be_bytes());
        body
    }

    fn from_body(body: &[u8; BODY]) -> Self {
        let uuid = |at: usize| Uuid::from_slice(&body[at..at + 16]).unwrap_or_default();
        let counter = u32::from_be_bytes([body[32], body[33], body[34], body[35]]);
        Self {
            user: UserId(uuid(0)),
            session: SessionId(uuid(16)),
            counter,
        }
    }
}

/// Makes and checks refresh tokens: the first key signs, all verify.
pub(super) struct RefreshTokens {
    keys: Vec<Hmac<Sha256>>,
}

impl RefreshTokens {
    /// Keys derived from the secrets of the access tokens, separate from them by their label.
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let derive = |secret| mac(&keyed_hash(secret, b"weapp-serverless refresh token v1"));
        Self {
            keys: secrets.iter().map(derive).collect(),
        }
    }

    /// `None` only without keys, which settings refuse.
    pub(super) fn sign(&self, token: &RefreshToken) -> Option<SecretString> {
        let body = token.body();
        let mut bytes = body.to_vec();
        bytes.extend(
            self.keys
                .first()?
                .clone()
                .chain_update(body)
                .finalize()
                .into_bytes(),
        );
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into())
    }

    pub(super) fn verify(&self, text: &str) -> Result<RefreshToken, RefreshTokenError> {
        let encoded = text
            .strip_prefix(PREFIX)
            .filter(|rest| rest.len() <= 128)
            .ok_or(RefreshTokenError)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| RefreshTokenError)?;
        let (body, tag) = bytes.split_first_chunk::<BODY>().ok_or(RefreshTokenError)?;
        // `verify_slice` compares in constant time.
        let is_ours = |key: &Hmac<Sha256>| key.clone().chain_update(body).verify_slice(tag).is_ok();
        if self.keys.iter().any(is_ours) {
            Ok(RefreshToken::from_body(body))
        } else {
            Err(RefreshTokenError)
        }
    }
}

/// HMAC-SHA256 of `label` under `secret`.
pub(super) fn keyed_hash(secret: &SecretString, label: &[u8]) -> [u8; 32] {
    mac(secret.expose_secret().as_bytes())
        .chain_update(label)
        .finalize()
        .into_bytes()
        .into()
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes keys of every length (RFC 2104 §2)"
)]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(secret: &str) -> RefreshTokens {
        RefreshTokens::new(&[SecretString::from(secret)])
    }

    fn token(counter: u32) -> RefreshToken {
        RefreshToken {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            counter,
        }
    }

    #[test]
    fn the_format_is_pinned() {
        // Computed independently, with Python's hmac and base64.
        let signed = tokens("k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6")
            .sign(&token(3))
            .unwrap();
        assert_eq!(
            signed.expose_secret(),
            "rt1.AAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAIAAAAD9hmQNKf2m8t6J4KDsqf7mTKsfWpFN62HwPhaDvaq8nE"
        );
    }

    #[test]
    fn a_rotated_secret_still_verifies_and_a_foreign_one_does_not() {
        let old = tokens("old").sign(&token(1)).unwrap();
        let both = RefreshTokens::new(&["new".into(), "old".into()]);
        assert_eq!(both.verify(old.expose_secret()), Ok(token(1)));
        assert_eq!(
            tokens("new").verify(old.expose_secret()),
            Err(RefreshTokenError)
        );
    }

    proptest! {
        #[test]
        fn a_signed_token_verifies(counter: u32) {
            let tokens = tokens("secret");
            let signed = tokens.sign(&token(counter)).unwrap();
            prop_assert_eq!(tokens.verify(signed.expose_secret()), Ok(token(counter)));
        }

        #[test]
        fn a_changed_character_does_not_verify(at in 0usize..95, to in "[A-Za-z0-9_.-]") {
            let tokens = tokens("secret");
            let signed = tokens.sign(&token(7)).unwrap();
            let mut changed = signed.expose_secret().to_owned();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != signed.expose_secret());
            prop_assert_eq!(tokens.verify(&changed), Err(RefreshTokenError));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            prop_assert_eq!(tokens("secret").verify(&text), Err(RefreshTokenError));
        }
    }
}

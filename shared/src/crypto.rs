//! Cryptography without I/O or a clock. Randomness is passed in, except where keys are generated.

mod aes_cbc;
mod at_rest;
mod encrypted_data;
pub mod jwe;
mod key_pair;
mod rsa;

pub use at_rest::{AtRest, OpenError};
pub use encrypted_data::{
    DataError, EncryptedData, MalformedData, is_raw_data_signature, session_signature,
};
pub use key_pair::{KeyKind, KeyPair, KeyPairError};
pub use rsa::{KeyError, PublicKey, RsaJwk, TransportKey, TransportKeys};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

#[expect(
    clippy::expect_used,
    reason = "HMAC takes keys of every length (RFC 2104 §2)"
)]
pub(crate) fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod wycheproof_tests;

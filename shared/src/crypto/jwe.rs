//! JSON Web Encryption (RFC 7516) as far as sealed bodies need it.
//!
//! A request is `RSA-OAEP-256` with `A256CBC-HS512` or `A256GCM`, in compact or flattened JSON
//! form; its answer is `dir` under the same content key in the same form. Nothing else is accepted:
//! no compression, no critical, unknown, repeated or unprotected header fields. Every length is
//! checked before any RSA work, and every failed decryption is the same error after the same work
//! (RFC 7516 §11.5).

mod answer;
mod cbc_hmac;
mod enc;
mod header;
mod parts;
mod request;

pub use answer::ContentKey;
pub use enc::Enc;
pub use header::{AnswerHeader, RequestHeader, access_token_hash};
pub use parts::Form;
pub use request::{SealedRequest, seal_request};

use thiserror::Error;

/// Not a JWE that can be opened here. One error for every cause, so that an attacker learns nothing
/// from it.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("not a JWE that can be opened")]
pub struct JweError;

#[cfg(test)]
mod tests;

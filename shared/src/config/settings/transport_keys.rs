//! The RSA keys of sealed bodies.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretSlice;

use crate::config::Env;

const NAME: &str = "TRANSPORT_KEYS";

/// With what sealed bodies are opened.
pub struct TransportSettings {
    /// `TRANSPORT_KEYS`: comma list of `kid:key`, the key RSA of 2048 to 4096 bits, PKCS#8 DER as
    /// base64. The first is offered at `/api/v1/crypto/key`, all open. Not set: no sealed bodies;
    /// local runs make a key at each start.
    pub keys: Vec<Pkcs8Key>,
}

/// A private key that nobody has looked into yet.
pub struct Pkcs8Key {
    /// What clients know it by.
    pub kid: String,
    /// PKCS#8 in DER.
    pub der: SecretSlice<u8>,
    place: usize,
}

impl TransportSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut keys: Vec<Pkcs8Key> = Vec::new();
        for (index, part) in env.list(NAME).enumerate() {
            match parse(part, index + 1) {
                Some(key) if keys.iter().any(|other| other.kid == key.kid) => {
                    key.problem(env, "has the kid of another");
                }
                Some(key) => keys.push(key),
                None => env.problem(
                    NAME,
                    format!("key {} is not kid:key with the key as base64", index + 1),
                ),
            }
        }
        Self { keys }
    }
}

impl Pkcs8Key {
    /// Records that this key can't be used.
    pub fn problem(&self, env: &Env, what: impl std::fmt::Display) {
        env.problem(NAME, format!("key {} {what}", self.place));
    }
}

/// A kid travels in headers and stands in caches, so it is plain.
fn parse(part: &str, place: usize) -> Option<Pkcs8Key> {
    let (kid, key) = part.split_once(':')?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let is_plain = (1..=64).contains(&kid.len()) && kid.bytes().all(plain);
    let der = SecretSlice::from(STANDARD.decode(key).ok()?);
    is_plain.then(|| Pkcs8Key {
        kid: kid.to_owned(),
        der,
        place,
    })
}

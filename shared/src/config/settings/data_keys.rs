//! Keys for data at rest.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox};

use crate::config::Env;

/// The default of `DATA_KEYS` on a developer's machine. It is public, so it is refused on Lambda.
pub const LOCAL_DATA_KEYS: &str = "local:bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kYXRhLWtleSE=";

/// A key that encrypts data at rest.
pub struct DataKey {
    /// Written beside what it encrypted, so that keys can change.
    pub id: String,
    /// AES-256.
    pub key: SecretBox<[u8; 32]>,
}

pub(super) fn data_keys(env: &Env) -> Vec<DataKey> {
    const NAME: &str = "DATA_KEYS";
    let parts = env.required_list(
        NAME,
        "id:key, the key 32 bytes as base64 or 64 hexadecimal digits",
    );
    let mut keys = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part.split_once(':').and_then(|(id, key)| {
            Some(DataKey {
                id: id.to_owned(),
                key: key_bytes(key)?,
            })
        }) {
            Some(key) if is_local_data_key(&key) && !env.is_local() => {
                env.problem(
                    NAME,
                    format!("key {} is the public one of local development", index + 1),
                );
            }
            Some(key) if !key.id.is_empty() && !key.id.contains('.') => keys.push(key),
            _ => env.problem(
                NAME,
                format!(
                    "key {} is not id:key with 32 bytes as base64 or 64 hex digits",
                    index + 1
                ),
            ),
        }
    }
    keys
}

/// By its bytes: under another id it would be as public.
fn is_local_data_key(key: &DataKey) -> bool {
    let local = LOCAL_DATA_KEYS
        .split_once(':')
        .and_then(|(_, key)| key_bytes(key));
    local.is_some_and(|local| local.expose_secret() == key.key.expose_secret())
}

fn key_bytes(text: &str) -> Option<SecretBox<[u8; 32]>> {
    let bytes = if text.len() == 64 {
        hex::decode(text).ok()?
    } else {
        STANDARD.decode(text).ok()?
    };
    let key: [u8; 32] = bytes.try_into().ok()?;
    // A key of one repeated byte is a placeholder, not a key.
    (key != [key[0]; 32]).then(|| SecretBox::new(Box::new(key)))
}

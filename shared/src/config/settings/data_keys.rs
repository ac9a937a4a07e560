//! Keys for data at rest.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox};

use crate::{
    config::{Env, List},
    settings,
};

settings! {
    /// The settings of keys for data at rest.
    pub DOCUMENTED in Encryption;

    pub DATA_KEYS: List = List::required("id:key, the key 32 bytes as base64 or 64 hexadecimal digits"),
        "keys of what is stored encrypted (`session_key`, phone numbers, WeChat's access token): the first encrypts, all decrypt. Make one: `echo \"k1:$(openssl rand -hex 32)\"`",
        "加密存储所用的密钥（`session_key`、手机号、微信 access_token）：第一个加密，全部可解密。生成：`echo \"k1:$(openssl rand -hex 32)\"`",
        wanted_zh("`id:key`，逗号分隔，key 是 32 字节的 base64 或 64 位十六进制"),
        has_local_value();
}

/// The default of `DATA_KEYS` on a developer's machine. It is public, so it is rejected on Lambda.
pub const LOCAL_DATA_KEYS: &str = "local:bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kYXRhLWtleSE=";

/// A key that encrypts data at rest.
pub struct DataKey {
    /// Written beside what it encrypted, so that keys can change.
    pub id: String,
    /// AES-256.
    pub key: SecretBox<[u8; 32]>,
}

/// The keys of data at rest.
pub struct DataKeySettings {
    /// `DATA_KEYS`: the first encrypts, all decrypt.
    pub keys: Vec<DataKey>,
}

impl DataKeySettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut keys: Vec<DataKey> = Vec::new();
        for (entry, position) in DATA_KEYS.read(env).into_iter().zip(1..) {
            match parse(entry) {
                Some(key) if is_local_data_key(&key) && !env.is_local() => {
                    let what = format!("key {position} is the public one of local development");
                    DATA_KEYS.add_error(env, what);
                }
                // What the one encrypted would be given to the other, which can't open it.
                Some(key) if keys.iter().any(|other| other.id == key.id) => {
                    DATA_KEYS.add_error(env, format!("key {position} has the id of another"));
                }
                Some(key) if !key.id.is_empty() && !key.id.contains('.') => keys.push(key),
                _ => {
                    let what = format!(
                        "key {position} is not id:key with 32 bytes as base64 or 64 hex digits"
                    );
                    DATA_KEYS.add_error(env, what);
                }
            }
        }
        Self { keys }
    }
}

fn parse(entry: &str) -> Option<DataKey> {
    let (id, key) = entry.split_once(':')?;
    Some(DataKey {
        id: id.to_owned(),
        key: key_bytes(key)?,
    })
}

/// Compares the bytes: the id does not matter.
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

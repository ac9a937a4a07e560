//! The RSA keys of sealed bodies.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretSlice;

use crate::{
    config::{Env, List},
    settings,
};

settings! {
    /// The settings of sealed bodies.
    pub DOCUMENTED in Encryption;

    pub TRANSPORT_KEYS: List = List::optional("kid:key, the key RSA of 2048 to 4096 bits, PKCS#8 DER in base64"),
        "keys of sealed bodies: the first is offered to clients, all open ([encryption.md](encryption.md#keys-of-sealed-bodies)). `make keys` makes one; local runs make one at each start",
        "加密请求体的密钥：第一个提供给客户端，全部可解密（见 [encryption.md](../encryption.md#keys-of-sealed-bodies)，英文）。`make keys` 可生成；本地运行时每次启动自动生成",
        wanted_zh("`kid:key`，逗号分隔；key 是 2048 至 4096 位 RSA 私钥，PKCS#8 DER 的 base64"),
        unset("not set: no sealed bodies", "未设置：不接受加密请求体"), has_local_value();
}

/// The keys that open sealed bodies.
pub struct TransportSettings {
    /// `TRANSPORT_KEYS`: the first is offered at `/api/v1/crypto/key`, all open. None: no sealed
    /// bodies; local runs make a key at each start.
    pub keys: Vec<Pkcs8Key>,
}

/// A private key that was not parsed yet.
pub struct Pkcs8Key {
    /// The name that clients use.
    pub kid: String,
    /// PKCS#8 in DER.
    pub der: SecretSlice<u8>,
    /// Where it stands in the list, from 1.
    position: usize,
}

impl TransportSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut keys: Vec<Pkcs8Key> = Vec::new();
        for (entry, position) in TRANSPORT_KEYS.entries(env).zip(1..) {
            match parse(entry, position) {
                Some(key) if keys.iter().any(|other| other.kid == key.kid) => {
                    key.add_error(env, "has the kid of another");
                }
                Some(key) => keys.push(key),
                None => {
                    let what = format!("key {position} is not kid:key with the key as base64");
                    TRANSPORT_KEYS.add_error(env, what);
                }
            }
        }
        Self { keys }
    }
}

impl Pkcs8Key {
    /// Records that this key can't be used.
    pub fn add_error(&self, env: &Env, what: impl std::fmt::Display) {
        TRANSPORT_KEYS.add_error(env, format!("key {} {what}", self.position));
    }
}

/// A kid travels in headers and stands in caches, so it is plain.
fn parse(entry: &str, position: usize) -> Option<Pkcs8Key> {
    let (kid, key) = entry.split_once(':')?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let is_plain = (1..=64).contains(&kid.len()) && kid.bytes().all(plain);
    let der = SecretSlice::from(STANDARD.decode(key).ok()?);
    is_plain.then(|| Pkcs8Key {
        kid: kid.to_owned(),
        der,
        position,
    })
}

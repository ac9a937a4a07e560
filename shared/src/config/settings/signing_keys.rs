//! Asymmetric keys of access tokens.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretSlice;

use crate::{
    config::{Env, List},
    settings,
};

settings! {
    /// The settings of signing keys.
    pub DOCUMENTED in Tokens;

    pub JWT_KEYS: List = List::optional("kid:key or key, the key a private one (PKCS#8) or a public one (SPKI), DER in base64"),
        "signing keys of access tokens, in front of `JWT_SECRETS`: Ed25519, P-256, or RSA from 2048 bits. The first that can sign signs, all verify. `make keys` makes one",
        "access token 的签名密钥，排在 `JWT_SECRETS` 之前：Ed25519、P-256 或 2048 位以上的 RSA。第一个能签名的用于签发，全部可验证。`make keys` 可生成",
        wanted_zh("`kid:key` 或 `key`，逗号分隔；key 是私钥（PKCS#8）或公钥（SPKI），DER 的 base64"),
        example("old:MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
}

/// Longer than any base64 of an RSA-8192 key.
const MAX_LEN: usize = 8192;

/// One entry of `JWT_KEYS`.
pub struct KeyDocument {
    /// Where it stands in the list, from 1.
    pub position: usize,
    /// What tokens call the key, if it was given a name.
    pub id: Option<String>,
    /// DER: a private key as PKCS#8 (RFC 5958) or a public one as SPKI (RFC 5280 §4.1.2.7).
    pub der: SecretSlice<u8>,
}

/// The entries of `JWT_KEYS`; config errors are recorded in `env`.
pub(super) fn signing_keys(env: &Env) -> Vec<KeyDocument> {
    let mut documents = Vec::new();
    for (entry, position) in JWT_KEYS.entries(env).zip(1..) {
        match document(position, entry) {
            Ok(document) => documents.push(document),
            Err(what) => JWT_KEYS.add_error(env, format!("key {position} {what}")),
        }
    }
    documents
}

fn document(position: usize, part: &str) -> Result<KeyDocument, &'static str> {
    let (id, text) = part
        .split_once(':')
        .map_or((None, part), |(id, text)| (Some(id), text));
    if id.is_some_and(|id| !is_key_id(id)) {
        return Err("has a kid that is not 1 to 64 letters, digits, - or _");
    }
    let der = Some(text)
        .filter(|text| text.len() <= MAX_LEN)
        .and_then(|text| STANDARD.decode(text).ok());
    let der = der.ok_or("is not kid:key, the key in base64")?;
    Ok(KeyDocument {
        position,
        id: id.map(str::to_owned),
        der: der.into(),
    })
}

fn is_key_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

//! Asymmetric keys of access tokens.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretSlice;

use crate::config::Env;

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

/// `JWT_KEYS`: comma list of `kid:key` or `key`, the key in base64.
pub(super) fn signing_keys(env: &Env) -> Vec<KeyDocument> {
    const NAME: &str = "JWT_KEYS";
    let mut documents = Vec::new();
    for (index, part) in env.list(NAME).enumerate() {
        match document(index + 1, part) {
            Ok(document) => documents.push(document),
            Err(what) => env.problem(NAME, format!("key {} {what}", index + 1)),
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

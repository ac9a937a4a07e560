//! `POST /api/v1/user/decrypt`, `/phone`, `/message` and `/session-key/reset`, `POST /api/v1/wxacode` and
//! `/url-links`, with state in the process and with a real Redis.

mod codes;
mod decrypt;
mod links;
mod message;
mod phone;
mod phone_conflict;
mod phone_merge;
mod session_key_reset;
mod two_identities;
mod wechat_limit;

use aes::Aes128;
use base64::{Engine, prelude::BASE64_STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use e2e::{settings::APP_ID, test_app::TestApp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{config::DataKeySettings, crypto::AtRest};
use wechat_simulator::{DataKind, Fault};

/// The encrypted data that the client gets for this user, as a body.
fn data(app: &TestApp, person: &str, kind: DataKind) -> Value {
    json!(
        app.wechat
            .encrypted_data(person, kind, Some(APP_ID))
            .unwrap()
    )
}

/// The user's current `session_key` as stored by the backend.
async fn session_key(app: &TestApp, person: &str) -> String {
    let row = app.identity_row(APP_ID, person).await;
    let at_rest = AtRest::new(&DataKeySettings::read(&app.env()).keys);
    at_rest
        .open(row["sessionKey"].as_s().unwrap(), row["pk"].as_s().unwrap())
        .unwrap()
        .expose_secret()
        .to_owned()
}

/// Encrypts any text as WeChat would.
fn seal(session_key: &str, text: &str) -> Value {
    let key: [u8; 16] = BASE64_STANDARD
        .decode(session_key)
        .unwrap()
        .try_into()
        .unwrap();
    let iv = [7; 16];
    let cipher = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into());
    let mut sealed = vec![0; text.len() + 16];
    let sealed = cipher
        .encrypt_padded_b2b::<Pkcs7>(text.as_bytes(), &mut sealed)
        .unwrap();
    json!({"encryptedData": BASE64_STANDARD.encode(sealed), "iv": BASE64_STANDARD.encode(iv)})
}

/// A body with one member changed.
fn with(body: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

/// From now on WeChat answers calls of this path with this errcode.
fn set_errcode(app: &TestApp, path: &str, errcode: i32) {
    let fault = Fault {
        path: Some(path.to_owned()),
        errcode: Some(errcode),
        ..Fault::default()
    };
    app.wechat.set_faults([fault]).unwrap();
}

//! `POST /api/v1/user/decrypt`, `/phone`, `/message` and `/session-key/reset`, with state in the
//! process and with a real Redis.

mod decrypt;
mod message;
mod phone;
mod session_key_reset;

use aes::Aes128;
use base64::{Engine, prelude::BASE64_STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use e2e::{
    settings::APP_ID,
    world::{SharedState, World},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{config::WeChatSettings, crypto::AtRest};
use wechat_simulator::{DataKind, Fault};

/// A world whose Redis is its own: in a shared one the worlds would take WeChat's access token from
/// each other.
async fn start(state: SharedState) -> World {
    World::with(state).own_redis().start().await
}

/// What the phone hands over for this person, as a body.
fn data(world: &World, person: &str, kind: DataKind) -> Value {
    json!(
        world
            .wechat
            .encrypted_data(person, kind, Some(APP_ID))
            .unwrap()
    )
}

/// The `session_key` that the backend holds for the person's current one.
async fn session_key(world: &World, person: &str) -> String {
    let row = world.identity_row(APP_ID, person).await;
    let at_rest = AtRest::new(&WeChatSettings::read(&world.env()).data_keys);
    at_rest
        .open(row["sessionKey"].as_s().unwrap(), row["pk"].as_s().unwrap())
        .unwrap()
        .expose_secret()
        .to_owned()
}

/// Data as WeChat would make it, of any text.
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

/// A body with one member set otherwise.
fn with(body: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[name] = value.into();
    body
}

/// From now on this path of WeChat's answers with this errcode.
fn refuses(world: &World, path: &str, errcode: i32) {
    let fault = Fault {
        path: Some(path.to_owned()),
        errcode: Some(errcode),
        ..Fault::default()
    };
    world.wechat.set_faults([fault]).unwrap();
}

//! User data that WeChat encrypts for this server: `POST /api/v1/user/decrypt`,
//! `/user/phone`, `/user/session-key/reset`, `/user/message`. And what WeChat makes to open the
//! mini-program: `POST /api/v1/wxacode`, `/url-links`.

mod codes;
mod decrypt;
mod encrypt_keys;
mod links;
mod making;
mod message;
#[cfg(feature = "openapi")]
mod openapi;
mod phone;
mod session_key;

use std::sync::Arc;

use axum::{extract::FromRef, routing::post};
use shared::{auth::Admission, edge::Routes, instance::Instance, users::Administrators};

use codes::Codes;
use decrypt::Decryption;
use links::Links;
use making::Making;
use message::Messages;
use phone::Phones;
use session_key::SessionKeys;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct UserData {
    admission: Admission,
    administrators: Administrators,
    keys: SessionKeys,
    decryption: Arc<Decryption>,
    phones: Arc<Phones>,
    messages: Arc<Messages>,
    codes: Arc<Codes>,
    links: Arc<Links>,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start(1);
    instance.sealed_bodies();
    let keys = SessionKeys::new(instance.session_keys(), instance.wechat_authorized());
    let making = Making::new(instance, keys.wechat.clone());
    let state = UserData {
        admission: instance.admission(),
        administrators: instance.administrators(),
        decryption: Arc::new(Decryption::new(instance, keys.clone())),
        phones: Arc::new(Phones::new(instance)),
        messages: Arc::new(Messages::new(instance, keys.clone())),
        codes: Arc::new(Codes::new(instance, making.clone())),
        links: Arc::new(Links::new(instance, making)),
        keys,
    };
    Routes::new()
        .route("/api/v1/user/decrypt", post(decrypt::decrypt))
        .route("/api/v1/user/phone", post(phone::bind))
        .route("/api/v1/user/message", post(message::open))
        .route("/api/v1/user/session-key/reset", post(session_key::reset))
        .route("/api/v1/wxacode", post(codes::create))
        .route("/api/v1/url-links", post(links::create))
        .with_state(state)
}

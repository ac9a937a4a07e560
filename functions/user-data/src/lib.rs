//! User data that WeChat encrypts for this server: `POST /api/v1/user/decrypt`,
//! `/user/phone`, `/user/session-key/reset`, `/user/message`.

mod decrypt;
mod encrypt_keys;
mod message;
#[cfg(feature = "openapi")]
mod openapi;
mod phone;
mod session_key;

use std::sync::Arc;

use axum::{extract::FromRef, routing::post};
use shared::{auth::Admission, edge::Routes, instance::Instance};

use decrypt::Decryption;
use message::Messages;
use phone::Phones;
use session_key::SessionKeys;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct UserData {
    admission: Admission,
    keys: SessionKeys,
    decryption: Arc<Decryption>,
    phones: Arc<Phones>,
    messages: Arc<Messages>,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start(1);
    instance.sealed_bodies();
    let keys = SessionKeys::new(instance.session_keys(), instance.wechat_authorized());
    let state = UserData {
        admission: instance.admission(),
        decryption: Arc::new(Decryption::new(instance, keys.clone())),
        phones: Arc::new(Phones::new(instance)),
        messages: Arc::new(Messages::new(instance, keys.clone())),
        keys,
    };
    Routes::new()
        .route("/api/v1/user/decrypt", post(decrypt::decrypt))
        .route("/api/v1/user/phone", post(phone::bind))
        .route("/api/v1/user/message", post(message::open))
        .route("/api/v1/user/session-key/reset", post(session_key::reset))
        .with_state(state)
}

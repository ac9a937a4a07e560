//! Examples that several functions have in their answers.

use serde_json::{Value, json};

/// A user as its owner sees it.
#[must_use]
pub fn user() -> Value {
    json!({
        "id": "01a20939-2967-7d17-98c2-7448ee036be2",
        "nickname": "小明",
        "avatarUrl": null,
        "gender": null,
        "phone": null,
        "role": "user",
        "status": "active",
        "createdAt": "2026-11-23T16:24:30.823Z",
        "updatedAt": "2026-11-23T16:24:30.889Z",
        "version": 2,
    })
}

/// What a login and a refresh give; tokens are shortened.
#[must_use]
pub fn tokens() -> Value {
    json!({
        "token": "eyJ0eXAiOiJhdCtqd3Qi…",
        "tokenType": "Bearer",
        "expiresIn": 7200,
        "refreshToken": "rt1.AaIJOSlnfReYwnRI7gNr4g…",
        "refreshExpiresIn": 2_592_000,
    })
}

/// An agreement to a document.
#[must_use]
pub fn consent() -> Value {
    json!({
        "document": "privacy",
        "version": 3,
        "agreedAt": "2026-11-23T16:24:31.002Z",
        "appId": "wx0123456789abcdef",
        "withdrawnAt": null,
        "withdrawnAppId": null,
    })
}

/// Something that happened to an account.
#[must_use]
pub fn activity() -> Value {
    json!({
        "event": "login",
        "at": "2026-11-23T16:24:30.828Z",
        "sessionId": "01a20939-296c-7dce-9b6a-1ab4f3084d8f",
        "appId": "wx0123456789abcdef",
        "userAgent": "curl/7.88.1",
        "byAdministrator": false,
    })
}

/// One object of the members of two.
#[must_use]
pub fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

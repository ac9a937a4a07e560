//! The routes for clients.

use shared::{
    accounts::Offer,
    api::{Empty, Reason},
    openapi::{
        Access, Operation, Tag, Value,
        examples::{user, with},
        json,
    },
    users::User,
};

use crate::{
    codes::{CodeInput, CodeResponse},
    decrypt::DataInput,
    links::{LinkInput, UrlLink},
    message::MessageInput,
    phone::PhoneInput,
};

/// An object as its sender encrypted it.
type Opened = serde_json::Map<String, Value>;

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![decrypt(), phone(), message(), reset(), code(), link()]
}

fn decrypt() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/decrypt",
        "decrypt",
        Tag::UserData,
        "Decrypt `encryptedData` of a `wx.*` API",
    )
    .details("After `session_key_stale`: `wx.login`, log in, and get the data again. A page that gets it twice in a row should stop.")
    .access(Access::User)
    .body::<DataInput>(json!({
        "encryptedData": "CiyLU1Aw2KjvrjMdj8YK…",
        "iv": "r7BXXKkLb8qrSNn05n0qiA==",
        "checkSession": false,
    }))
    .ok::<Opened>(
        "The object as WeChat made it.",
        json!({"watermark": {"appid": "wx0123456789abcdef", "timestamp": 1_795_451_070}}),
    )
    .fails(&[Reason::SessionKeyStale, Reason::UpstreamError])
}

fn phone() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/phone",
        "bindPhone",
        Tag::Phone,
        "Bind the number of the phone number button",
    )
    .details("The same request can be repeated for 5 minutes. If another user has the number, `data` says what the caller can do: `resolvePhone`.")
    .access(Access::User)
    .body::<PhoneInput>(json!({"code": "e31968a7f94cc5ee25fafc2aef2773f0"}))
    .ok::<User>("The user with the number.", with(user(), json!({"phone": "13800138000"})))
    .explains::<Offer>(Reason::PhoneTaken)
    .fails(&[Reason::PhoneCodeInvalid, Reason::Conflict, Reason::UpstreamError])
}

fn message() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/message",
        "openMessage",
        Tag::UserData,
        "Decrypt what the page encrypted with a key of `getUserCryptoManager`",
    )
    .access(Access::User)
    .body::<MessageInput>(json!({"encryptedData": "p0XqAsTtvT1Fvl9Q…", "version": 1}))
    .ok::<Opened>("The object.", json!({"any": "thing"}))
    .fails(&[Reason::SessionKeyStale, Reason::UpstreamError])
}

fn reset() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/session-key/reset",
        "resetSessionKey",
        Tag::UserData,
        "Have WeChat replace the session key",
    )
    .details("Data in transit still opens with the previous one.")
    .access(Access::User)
    .ok::<Empty>("Replaced.", json!({}))
    .fails(&[
        Reason::SessionKeyStale,
        Reason::Conflict,
        Reason::UpstreamError,
    ])
}

fn code() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/wxacode",
        "createCode",
        Tag::Codes,
        "Make a mini-program code",
    )
    .details("For the mini-program of the access token. A request for the same code within `CODE_CACHE_SECONDS` gets the same picture, without a call to WeChat.")
    .access(Access::User)
    .body::<CodeInput>(json!({"scene": "inviter=7", "page": "pages/index/index", "width": 430}))
    .ok::<CodeResponse>(
        "The picture.",
        json!({"contentType": "image/png", "data": "iVBORw0KGgoAAAANSUhEUgAA…"}),
    )
    .fails(&[
        Reason::TargetInvalid,
        Reason::QuotaExceeded,
        Reason::UpstreamError,
    ])
}

fn link() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/url-links",
        "createUrlLink",
        Tag::Codes,
        "Make an address that opens the mini-program",
    )
    .details("For the mini-program of the access token. A request for the same link within `LINK_CACHE_SECONDS` gets the same one, without a call to WeChat.")
    .access(Access::Administrator)
    .body::<LinkInput>(json!({"path": "pages/order/order", "query": "id=7", "expireDays": 7}))
    .ok::<UrlLink>(
        "The link.",
        json!({"url": "https://wxaurl.cn/BQZRrcFCPvg", "expiresAt": "2026-12-04T08:30:15Z"}),
    )
    .fails(&[
        Reason::TargetInvalid,
        Reason::QuotaExceeded,
        Reason::UpstreamError,
    ])
}

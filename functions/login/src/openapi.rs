//! The routes for clients.

use shared::{
    api::Reason,
    openapi::{
        Access, Operation, Tag, Value,
        examples::{tokens, user, with},
        json,
    },
    users::User,
};

use crate::{
    LoginResponse,
    flow::Pending,
    input::LoginInput,
    resolve::{Merging, Resolution},
};

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![login(), resolve()]
}

fn response() -> Value {
    with(tokens(), json!({"user": user(), "isNewUser": false}))
}

fn login() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/login",
        "login",
        Tag::Sessions,
        "Log in with a code of `wx.login`",
    )
    .details("Idempotent: the same code within 5 minutes gives the same session and tokens. After any failed login it is safe to call `wx.login` again. With `phoneCode` the login succeeds whatever becomes of the number, and `data.phone` says what did.")
    .body::<LoginInput>(json!({"code": "0b3Xyz", "appId": "wx0123456789abcdef"}))
    .ok::<LoginResponse>("Logged in.", response())
    .fails(&[
        Reason::CodeInvalid,
        Reason::CodeUsed,
        Reason::SessionRevoked,
        Reason::UserDisabled,
        Reason::UserBlocked,
        Reason::Conflict,
        Reason::RateLimited,
        Reason::UpstreamError,
    ])
    .explains::<Pending>(Reason::AccountDeletionPending)
}

fn resolve() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/phone/resolve",
        "resolvePhone",
        Tag::Phone,
        "Carry out what a ticket of `phone_taken` is for",
    )
    .details("`take` moves the number to the caller. `merge` makes the caller's account part of the other one, can't be undone, and answers like a login to the account that is left. A ticket is valid once, in the session that got it.")
    .access(Access::User)
    .body::<Resolution>(json!({"ticket": "kX9f2…", "choice": "take"}))
    .ok::<User>("`take`: the caller has the number.", with(user(), json!({"phone": "13800138000"})))
    .ok::<LoginResponse>("`merge`: logged in to the account that is left.", response())
    .accepted::<Merging>(
        "`merge`: goes on without the client; log in again in a moment.",
        json!({"status": "merging", "saga": "8ec7bbdb9e68689d6a0779458142f841"}),
    )
    .fails(&[Reason::NotFound, Reason::Conflict, Reason::TicketInvalid])
}

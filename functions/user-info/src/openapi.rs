//! The routes for clients.

use shared::{
    api::Reason,
    openapi::{Access, Operation, Tag, examples::user, json},
};

use crate::{UserInfoResponse, change::ProfileInput};

const PATH: &str = "/api/v1/user/info";

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let read = Operation::new(
        "GET",
        PATH,
        "getProfile",
        Tag::Profile,
        "The user's own profile",
    )
    .access(Access::User)
    .ok::<UserInfoResponse>("The user.", user());
    vec![
        read,
        change("PATCH", "updateProfile"),
        change("PUT", "putProfile"),
    ]
}

fn change(method: &'static str, id: &'static str) -> Operation {
    Operation::new(method, PATH, id, Tag::Profile, "Change the profile")
        .details("A JSON merge patch (RFC 7396) of at least one field: what is left out stays, `null` clears. `PUT` does what `PATCH` does, because `wx.request` has no `PATCH`.")
        .access(Access::User)
        .body::<ProfileInput>(json!({"nickname": "小明", "gender": null}))
        .ok::<UserInfoResponse>("The user after the change.", user())
        .fails(&[
            Reason::ContentRisky,
            Reason::NotFound,
            Reason::Conflict,
            Reason::UpstreamError,
        ])
}

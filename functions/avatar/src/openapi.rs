//! The routes for clients.

use shared::{
    api::Reason,
    openapi::{Access, Operation, Tag, examples::user, json},
};

use crate::{
    begin::{FormResponse, PictureInput},
    confirm::{Confirmed, KeyInput},
};

const PATH: &str = "/api/v1/user/avatar";

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![begin(), confirm()]
}

fn begin() -> Operation {
    let form = json!({
        "url": "https://weapp-avatars.s3.ap-southeast-1.amazonaws.com",
        "fields": {"Content-Type": "image/png", "key": "uploads/6f0c3d51a2b74e8899aabbccddeeff00", "policy": "eyJjb25kaXRpb25zIjpb…"},
        "key": "uploads/6f0c3d51a2b74e8899aabbccddeeff00",
        "expiresIn": 300,
        "maxBytes": 20_480,
    });
    Operation::new(
        "POST",
        PATH,
        "beginAvatar",
        Tag::Avatar,
        "Get a form to upload a picture with",
    )
    .details("Post all `fields` to `url` as `multipart/form-data`, before the file, which is called `file`; then confirm the upload.")
    .access(Access::User)
    .body::<PictureInput>(json!({"contentType": "image/png", "size": 20_480}))
    .ok::<FormResponse>("The form.", form)
    .fails(&[Reason::Conflict, Reason::NotConfigured])
}

fn confirm() -> Operation {
    let confirmed = |status| json!({"status": status, "user": user()});
    Operation::new(
        "PUT",
        PATH,
        "confirmAvatar",
        Tag::Avatar,
        "Make what was uploaded the user's avatar",
    )
    .details("Can be repeated. While WeChat checks the picture, the same request later says what became of it.")
    .access(Access::User)
    .body::<KeyInput>(json!({"key": "uploads/6f0c3d51a2b74e8899aabbccddeeff00"}))
    .ok::<Confirmed>("It is `avatarUrl` now.", confirmed("published"))
    .accepted::<Confirmed>("WeChat checks it before anybody sees it.", confirmed("checking"))
    .fails(&[
        Reason::ContentRisky,
        Reason::UploadInvalid,
        Reason::NotFound,
        Reason::Conflict,
        Reason::UploadMissing,
        Reason::NotConfigured,
        Reason::UpstreamError,
    ])
}

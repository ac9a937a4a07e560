//! `POST /wxa/getwxacodeunlimit`: answers with a picture.

use serde::Deserialize;
use serde_json::json;

use crate::protocol::call::ApiCall;
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::{page, png};
use crate::state::State;
use crate::state::quotas::Quota;

/// The most characters of a scene.
const MAX_SCENE: usize = 32;

#[derive(Deserialize)]
struct CodeRequest {
    scene: String,
    #[serde(default)]
    page: String,
    #[serde(default = "checked")]
    check_path: bool,
    #[serde(default = "release")]
    env_version: String,
    #[serde(default = "default_width")]
    width: u16,
}

const fn checked() -> bool {
    true
}

fn release() -> String {
    "release".to_owned()
}

const fn default_width() -> u16 {
    430
}

pub(crate) fn code(state: &mut State, call: &ApiCall) -> Result<Vec<u8>, ApiError> {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    state.charge(&app_id, Quota::Codes, call.now)?;
    let request: CodeRequest = call.json()?;
    validate(&request)?;
    if request.check_path && !request.page.is_empty() && !state.pages.has(&app_id, &request.page) {
        return Err(errcode::INVALID_PAGE);
    }
    let text = json!({"appId": app_id, "scene": request.scene, "page": request.page, "envVersion": request.env_version});
    Ok(png::picture(request.width, &text.to_string()))
}

fn validate(request: &CodeRequest) -> Result<(), ApiError> {
    if !(1..=MAX_SCENE).contains(&request.scene.chars().count()) {
        return Err(errcode::INVALID_SCENE_LENGTH);
    }
    if !request.scene.bytes().all(page::is_allowed) {
        return Err(errcode::INVALID_SCENE);
    }
    if request.scene.contains("scancode_time") {
        return Err(errcode::RESERVED_SCENE);
    }
    if !request.page.is_empty() && !page::is_path(&request.page) {
        return Err(errcode::INVALID_PAGE);
    }
    if page::is_version(&request.env_version) && (280..=1280).contains(&request.width) {
        Ok(())
    } else {
        Err(errcode::INVALID_ARGS)
    }
}

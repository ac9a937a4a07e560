//! `POST /cgi-bin/message/custom/send`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::state::State;
use crate::state::inboxes::{DeliveredMessage, MessageContent};
use crate::state::quotas::Quota;
use crate::time::SECOND;

/// The most bytes of a text.
const MAX_TEXT: usize = 2_048;

#[derive(Deserialize)]
struct CustomRequest {
    #[serde(default)]
    touser: String,
    #[serde(default)]
    msgtype: String,
    /// What is below the name of the type.
    #[serde(flatten)]
    contents: Map<String, Value>,
}

pub(crate) fn send(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    state.charge(&app_id, Quota::CustomMessages, call.now)?;
    let request: CustomRequest = call.json()?;
    state.require_user(&request.touser, &app_id)?;
    let content = request.contents.get(&request.msgtype);
    validate(
        state,
        &app_id,
        &request.msgtype,
        content.unwrap_or(&Value::Null),
    )?;
    state.reply_windows.reply(&request.touser, call.now)?;
    let kind = request.msgtype;
    let content = MessageContent::CustomerService {
        message: json!({"msgtype": &kind, &kind: content}),
    };
    let message = DeliveredMessage {
        delivered_at: call.now / SECOND,
        content,
    };
    state.inboxes.deliver(&request.touser, message);
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn validate(state: &State, app_id: &str, kind: &str, content: &Value) -> Result<(), ApiError> {
    let text = |name: &str| content[name].as_str().unwrap_or_default();
    match kind {
        "text" if text("content").is_empty() => Err(errcode::EMPTY_CONTENT),
        "text" if text("content").len() > MAX_TEXT => Err(errcode::CONTENT_TOO_LONG),
        "text" => Ok(()),
        "image" => require_media(text("media_id")),
        "link" => {
            require_all(&[text("title"), text("description")])?;
            require_url(text("url"))?;
            require_url(text("thumb_url"))
        }
        "miniprogrampage" => {
            require_all(&[text("title"), text("pagepath")])?;
            if !state.pages.has(app_id, text("pagepath")) {
                return Err(errcode::INVALID_PAGE);
            }
            require_media(text("thumb_media_id"))
        }
        _ => Err(errcode::INVALID_MESSAGE_TYPE),
    }
}

fn require_all(texts: &[&str]) -> Result<(), ApiError> {
    if texts.iter().any(|text| text.is_empty()) {
        return Err(errcode::INVALID_ARGS);
    }
    Ok(())
}

fn require_media(id: &str) -> Result<(), ApiError> {
    if (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(errcode::INVALID_MEDIA_ID)
}

fn require_url(url: &str) -> Result<(), ApiError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(errcode::INVALID_URL)
}

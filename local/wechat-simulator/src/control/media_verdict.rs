//! The verdict on a picture, as WeChat pushes it (`wxa_media_check`).

use serde_json::{Map, Value, json};

use crate::control::push::{self, PushOrder};
use crate::control_error::ControlError;
use crate::protocol::keywords::{REVIEW_KEYWORD, RISKY_KEYWORD};
use crate::protocol::push::PushRequest;
use crate::state::State;
use crate::state::media_checks::MediaCheck;

/// The push with the verdict on a picture with this `content`; `None` is one that can't be read.
pub(crate) fn request(
    state: &mut State,
    now: u64,
    check: &MediaCheck,
    content: Option<&[u8]>,
) -> Result<PushRequest, ControlError> {
    let session = state.sessions.find(&check.open_id);
    let owner = session.map(|session| session.owner.user.clone());
    let order = PushOrder {
        user: owner.ok_or(ControlError::NotLoggedIn)?,
        app_id: Some(check.app_id.clone()),
        event: Some("wxa_media_check".to_owned()),
        fields: fields(check, content),
        ..PushOrder::default()
    };
    push::request(state, now, &order)
}

fn fields(check: &MediaCheck, content: Option<&[u8]>) -> Map<String, Value> {
    let mut fields = json!({
        "appid": check.app_id,
        "trace_id": check.trace_id,
        "version": 2,
    });
    if let Some(content) = content {
        let (suggest, label) = classify(content);
        fields["errcode"] = 0.into();
        fields["errmsg"] = "ok".into();
        fields["detail"] = json!([
            {"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90},
        ]);
        fields["result"] = json!({"suggest": suggest, "label": label});
    } else {
        fields["errcode"] = (-1008).into();
        fields["errmsg"] = "download media failed".into();
        fields["detail"] = json!([]);
    }
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A picture that contains one of the keywords of texts, anywhere in its bytes, is flagged as a text
/// with it is.
fn classify(content: &[u8]) -> (&'static str, u32) {
    let found = |keyword: &str| {
        let mut windows = content.windows(keyword.len());
        windows.any(|window| window == keyword.as_bytes())
    };
    if found(RISKY_KEYWORD) {
        ("risky", 20002)
    } else if found(REVIEW_KEYWORD) {
        ("review", 21000)
    } else {
        ("pass", 100)
    }
}

//! `POST /wxa/msg_sec_check`, version 2.

use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::ids;
use crate::protocol::keywords::{REVIEW_KEYWORD, RISKY_KEYWORD};
use crate::state::State;
use crate::state::rate_window::RateWindow;
use crate::time::{HOUR, MINUTE};

const MAX_CHARS: usize = 2_500;
/// The user must have used the mini-program within this time.
const ACTIVE_WITHIN: u64 = 2 * HOUR;
/// 4,000 calls a minute for each app.
const RATE: RateWindow = RateWindow::new(4_000, MINUTE);

#[derive(Deserialize)]
struct SecCheckRequest {
    content: String,
    /// A number, or a number as text: WeChat accepts both.
    version: Value,
    scene: Value,
    openid: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    nickname: String,
    #[serde(default)]
    signature: String,
}

pub(crate) fn check(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    let rate = state.sec_check_rate.entry(app_id.clone()).or_insert(RATE);
    if !rate.admit(call.now) {
        return Err(errcode::SEC_CHECK_LIMIT);
    }
    let request: SecCheckRequest = call.json()?;
    validate(&request)?;
    require_recent_activity(state, &request.openid, &app_id, call.now)?;
    Ok(response(&request, &mut state.rng, call.now))
}

fn validate(request: &SecCheckRequest) -> Result<(), ApiError> {
    if number(&request.version) != Some(2) {
        return Err(errcode::INVALID_ARGS);
    }
    if !number(&request.scene).is_some_and(|scene| (1..=4).contains(&scene)) {
        return Err(errcode::INVALID_ARGS);
    }
    if request.content.is_empty() {
        return Err(errcode::EMPTY_CONTENT);
    }
    if request.content.chars().count() > MAX_CHARS {
        return Err(errcode::CONTENT_TOO_LONG);
    }
    Ok(())
}

pub(crate) fn number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

pub(crate) fn require_recent_activity(
    state: &State,
    open_id: &str,
    app_id: &str,
    now: u64,
) -> Result<(), ApiError> {
    let session = state
        .sessions
        .find(open_id)
        .filter(|session| session.owner.app_id == app_id);
    let session = session.ok_or(errcode::INVALID_OPENID)?;
    let idle = now.saturating_sub(session.last_active);
    if idle <= ACTIVE_WITHIN {
        Ok(())
    } else {
        Err(errcode::NOT_RECENTLY_ACTIVE)
    }
}

fn response(request: &SecCheckRequest, rng: &mut StdRng, now: u64) -> Value {
    let (suggest, label) = classify(request);
    json!({
        "errcode": 0,
        "errmsg": "ok",
        "detail": [
            {"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90},
            {"strategy": "keyword", "errcode": 0},
        ],
        "trace_id": ids::request_id(rng, now),
        "result": {"suggest": suggest, "label": label},
    })
}

/// Looks at all texts, not only at `content`.
fn classify(request: &SecCheckRequest) -> (&'static str, u32) {
    let texts = [
        &request.content,
        &request.title,
        &request.nickname,
        &request.signature,
    ];
    let found = |keyword| texts.iter().any(|text| text.contains(keyword));
    if found(RISKY_KEYWORD) {
        ("risky", 20006)
    } else if found(REVIEW_KEYWORD) {
        ("review", 21000)
    } else {
        ("pass", 100)
    }
}

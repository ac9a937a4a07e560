//! `POST /wxa/media_check_async`, version 2: the verdict is pushed later.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::sec_check::{number, require_recent_activity};
use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode;
use crate::protocol::ids;
use crate::state::State;
use crate::state::media_checks::MediaCheck;
use crate::state::rate_window::RateWindow;
use crate::time::MINUTE;

/// 2,000 calls a minute for each app.
const RATE: RateWindow = RateWindow::new(2_000, MINUTE);

#[derive(Deserialize)]
struct MediaCheckRequest {
    media_url: String,
    /// 1 audio, 2 picture. A number, or a number as text: WeChat accepts both.
    media_type: Value,
    version: Value,
    scene: Value,
    openid: String,
}

pub(crate) fn check(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    let rate = state.media_check_rate.entry(app_id.clone()).or_insert(RATE);
    if !rate.admit(call.now) {
        return Err(errcode::SEC_CHECK_LIMIT);
    }
    let request: MediaCheckRequest = call.json()?;
    let valid = number(&request.version) == Some(2)
        && number(&request.scene).is_some_and(|scene| (1..=4).contains(&scene))
        && number(&request.media_type).is_some_and(|kind| (1..=2).contains(&kind));
    if !valid {
        return Err(errcode::INVALID_ARGS);
    }
    if !request.media_url.starts_with("http://") && !request.media_url.starts_with("https://") {
        return Err(errcode::INVALID_URL);
    }
    require_recent_activity(state, &request.openid, &app_id, call.now)?;
    let trace_id = ids::request_id(&mut state.rng, call.now);
    state.media_checks.add(MediaCheck {
        app_id,
        open_id: request.openid,
        media_url: request.media_url,
        trace_id: trace_id.clone(),
    });
    Ok(json!({"errcode": 0, "errmsg": "ok", "trace_id": trace_id}))
}

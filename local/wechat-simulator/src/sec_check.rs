//! `POST /wxa/msg_sec_check`, version 2.

use rand::rngs::StdRng;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Call, Outcome};
use crate::errcode::{self, Refusal};
use crate::ids;
use crate::limits::{HOUR, MINUTE, Window};
use crate::world::World;

/// A text that contains this is `risky`, label 20006.
pub const RISKY_KEYWORD: &str = "simulator-risky";
/// A text that contains this is for `review`, label 21000.
pub const REVIEW_KEYWORD: &str = "simulator-review";

const LONGEST: usize = 2_500;
/// The user must have been in the mini-program within this time.
const ACTIVE_WITHIN: u64 = 2 * HOUR;
/// 4,000 a minute for each app.
const RATE: Window = Window::new(4_000, MINUTE);

#[derive(Deserialize)]
struct Request {
    content: String,
    /// A number, or its text: WeChat takes both.
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

pub(crate) fn check(world: &mut World, call: &Call) -> Outcome {
    call.require_post()?;
    let app_id = call.app_id(world)?;
    let rate = world.sec_check_rate.entry(app_id.clone()).or_insert(RATE);
    if !rate.admit(call.now) {
        return Err(errcode::SEC_CHECK_LIMIT);
    }
    let request: Request = call.json()?;
    validate(&request)?;
    recently_active(world, &request.openid, &app_id, call.now)?;
    Ok(answer(&request, &mut world.rng, call.now))
}

fn validate(request: &Request) -> Result<(), Refusal> {
    if number(&request.version) != Some(2) {
        return Err(errcode::INVALID_ARGS);
    }
    if !number(&request.scene).is_some_and(|scene| (1..=4).contains(&scene)) {
        return Err(errcode::INVALID_ARGS);
    }
    if request.content.is_empty() {
        return Err(errcode::EMPTY_CONTENT);
    }
    if request.content.chars().count() > LONGEST {
        return Err(errcode::CONTENT_TOO_LONG);
    }
    Ok(())
}

fn number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn recently_active(world: &World, open_id: &str, app_id: &str, now: u64) -> Result<(), Refusal> {
    let session = world
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

fn answer(request: &Request, rng: &mut StdRng, now: u64) -> Value {
    let (suggest, label) = judge(request);
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

/// All texts count, not the content alone.
fn judge(request: &Request) -> (&'static str, u32) {
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

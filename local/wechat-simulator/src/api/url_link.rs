//! `POST /wxa/generate_urllink`.

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use serde::Deserialize;
use serde_json::json;

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::page;
use crate::state::State;
use crate::state::quotas::Quota;
use crate::time::{DAY, MINUTE, SECOND};

/// The longest lifetime of a link.
const MAX_DAYS: u64 = 30;
/// The most characters of a query.
const MAX_QUERY: usize = 1_024;

#[derive(Deserialize)]
struct LinkRequest {
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    /// 0: at `expire_time`, 1: after `expire_interval` days.
    #[serde(default)]
    expire_type: u8,
    /// Seconds since 1970.
    expire_time: Option<u64>,
    expire_interval: Option<u64>,
    #[serde(default = "release")]
    env_version: String,
}

fn release() -> String {
    "release".to_owned()
}

pub(crate) fn generate(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    state.charge(&app_id, Quota::Links, call.now)?;
    let request: LinkRequest = call.json()?;
    validate(&request, call.now)?;
    if !request.path.is_empty() && !state.pages.has(&app_id, &request.path) {
        return Err(errcode::INVALID_PATH);
    }
    let name = (&mut state.rng).sample_iter(Alphanumeric).take(11);
    let name: String = name.map(char::from).collect();
    let link = format!("https://wxaurl.cn/{name}");
    Ok(json!({"errcode": 0, "errmsg": "ok", "url_link": link}))
}

fn validate(request: &LinkRequest, now: u64) -> Result<(), ApiError> {
    if !request.path.is_empty() && !page::is_path(&request.path) {
        return Err(errcode::INVALID_PATH);
    }
    let is_of_query = |byte: u8| page::is_allowed(byte) || byte == b'%';
    if request.query.len() > MAX_QUERY || !request.query.bytes().all(is_of_query) {
        return Err(errcode::INVALID_QUERY);
    }
    if !page::is_version(&request.env_version) {
        return Err(errcode::INVALID_VERSION);
    }
    if has_valid_expiry(request, now) {
        Ok(())
    } else {
        Err(errcode::INVALID_EXPIRY)
    }
}

fn has_valid_expiry(request: &LinkRequest, now: u64) -> bool {
    match request.expire_type {
        0 => request.expire_time.is_some_and(|time| {
            let left = time.saturating_mul(SECOND).saturating_sub(now);
            (MINUTE..=MAX_DAYS * DAY).contains(&left)
        }),
        1 => request
            .expire_interval
            .is_some_and(|days| (1..=MAX_DAYS).contains(&days)),
        _ => false,
    }
}

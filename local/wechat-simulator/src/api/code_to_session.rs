//! `/sns/jscode2session`: code2Session, the login.

use serde_json::json;

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::state::State;
use crate::state::apps::require_credentials;
use crate::state::rate_window::RateWindow;
use crate::state::users::AppUser;
use crate::time::MINUTE;

/// 100 calls a minute for each user.
const RATE: RateWindow = RateWindow::new(100, MINUTE);

/// Any method. Only the query is read: a POST with its parameters in the body gets 41002.
pub(crate) fn code_to_session(state: &mut State, call: &ApiCall) -> ApiOutcome {
    let code = authenticated_code(state, call)?;
    let owner = owner_of(state, code, call.param("appid"))?;
    let open_id = owner.open_id();
    count_login(state, &open_id, call.now)?;
    check_redeemable(state, code, call.now)?;
    let user = state.users.find(&owner.user);
    state.login_codes.mark_used(code);
    if user.high_risk {
        return Err(errcode::CODE_BLOCKED);
    }
    let keep = user.keep_session_key;
    let key = state
        .sessions
        .log_in(&open_id, owner, keep, &mut state.rng, call.now);
    let mut session = json!({"openid": open_id, "session_key": key.text()});
    if let Some(union_id) = user.union_id {
        session["unionid"] = union_id.into();
    }
    Ok(session)
}

fn authenticated_code<'a>(state: &State, call: &'a ApiCall) -> Result<&'a str, ApiError> {
    let (app_id, secret, code) = (
        call.param("appid"),
        call.param("secret"),
        call.param("js_code"),
    );
    require_credentials(app_id, secret)?;
    if code.is_empty() {
        return Err(errcode::CODE_MISSING);
    }
    if call.param("grant_type") != "authorization_code" {
        return Err(errcode::INVALID_GRANT_TYPE);
    }
    state.apps.authenticate(app_id, secret)?;
    Ok(code)
}

/// A code of another app is an unknown one.
fn owner_of(state: &State, code: &str, app_id: &str) -> Result<AppUser, ApiError> {
    let known = state
        .login_codes
        .find(code)
        .filter(|known| known.owner.app_id == app_id);
    known
        .map(|known| known.owner.clone())
        .ok_or_else(|| ApiError::unknown_code(code))
}

fn count_login(state: &mut State, open_id: &str, now: u64) -> Result<(), ApiError> {
    if state.login_rate.peek(open_id).is_none() {
        state.login_rate.insert(open_id.to_owned(), RATE);
    }
    let admitted = state
        .login_rate
        .get_mut(open_id)
        .is_none_or(|window| window.admit(now));
    if admitted {
        Ok(())
    } else {
        Err(errcode::MINUTE_LIMIT)
    }
}

fn check_redeemable(state: &State, code: &str, now: u64) -> Result<(), ApiError> {
    match state.login_codes.find(code) {
        Some(code) if code.used => Err(errcode::CODE_BEEN_USED),
        Some(code) if !code.has_expired(now) => Ok(()),
        _ => Err(errcode::INVALID_CODE),
    }
}

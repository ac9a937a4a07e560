//! checkSession, resetUserSessionKey and getUserEncryptKey: the calls that are signed with a
//! `session_key`, over the empty text.

use serde_json::{Value, json};

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::ids;
use crate::state::State;
use crate::state::sessions::{EncryptKey, Session};
use crate::time::SECOND;

/// `GET /wxa/checksession`. Every key but the current one gets 87009.
pub(crate) fn check(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_get()?;
    match verify_signature(state, call) {
        Ok(_) => Ok(json!({"errcode": 0, "errmsg": "ok"})),
        Err(errcode::NO_SESSION_KEY) => Err(errcode::INVALID_SIGNATURE),
        Err(error) => Err(error),
    }
}

/// `GET /wxa/resetusersessionkey`. The new key expires when the old one would have.
pub(crate) fn reset(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_get()?;
    let open_id = verify_signature(state, call)?;
    let session = state
        .sessions
        .find_mut(&open_id)
        .ok_or(errcode::NO_SESSION_KEY)?;
    if !session.resets.admit(call.now) {
        return Err(errcode::MINUTE_LIMIT);
    }
    session.rotate(&mut state.rng);
    let key = session.key.text();
    Ok(json!({"errcode": 0, "errmsg": "ok", "openid": open_id, "session_key": key}))
}

/// `/wxa/business/getuserencryptkey`. Any method: WeChat's documentation says GET, its sample POST.
pub(crate) fn encrypt_keys(state: &mut State, call: &ApiCall) -> ApiOutcome {
    let open_id = verify_signature(state, call)?;
    let session = state
        .sessions
        .find_mut(&open_id)
        .ok_or(errcode::NO_SESSION_KEY)?;
    let keys = session.encrypt_keys(&mut state.rng, call.now);
    let list: Vec<Value> = keys.iter().map(|key| key_info(key, call.now)).collect();
    Ok(json!({"errcode": 0, "errmsg": "ok", "key_info_list": list}))
}

fn key_info(key: &EncryptKey, now: u64) -> Value {
    json!({
        "encrypt_key": key.key.text(),
        "iv": key.iv_text(),
        "version": key.version,
        "expire_in": key.remaining(now) / SECOND,
        "create_time": key.created_at / SECOND,
    })
}

/// The openid of the user whose valid `session_key` signed the call.
fn verify_signature(state: &State, call: &ApiCall) -> Result<String, ApiError> {
    let app_id = state.authorized_app(call)?;
    let open_id = call.param("openid");
    if open_id.is_empty() {
        return Err(errcode::OPENID_MISSING);
    }
    if call.param("sig_method") != "hmac_sha256" {
        return Err(errcode::INVALID_SIG_METHOD);
    }
    let session = session_of(state, open_id, &app_id)?;
    if session.has_expired(call.now) {
        return Err(errcode::NO_SESSION_KEY);
    }
    if session.key.sign_message(b"") != call.param("signature") {
        return Err(errcode::INVALID_SIGNATURE);
    }
    Ok(open_id.to_owned())
}

fn session_of<'a>(state: &'a State, open_id: &str, app_id: &str) -> Result<&'a Session, ApiError> {
    let session = state.sessions.find(open_id);
    match session {
        Some(session) if session.owner.app_id == app_id => Ok(session),
        None if ids::is_open_id(open_id) => Err(errcode::NO_SESSION_KEY),
        _ => Err(errcode::INVALID_OPENID),
    }
}

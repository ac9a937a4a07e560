//! The three calls that prove possession of a `session_key` with its signature of the empty text.

use serde_json::{Value, json};

use crate::endpoint::{Call, Outcome};
use crate::errcode::{self, Refusal};
use crate::ids;
use crate::limits::SECOND;
use crate::sessions::{EncryptKey, Session};
use crate::world::World;

/// `GET /wxa/checksession`. The answer to everything that is not the current key is 87009.
pub(crate) fn check(world: &mut World, call: &Call) -> Outcome {
    call.require_get()?;
    match prove(world, call) {
        Ok(_) => Ok(json!({"errcode": 0, "errmsg": "ok"})),
        Err(errcode::NO_SESSION_KEY) => Err(errcode::INVALID_SIGNATURE),
        Err(refusal) => Err(refusal),
    }
}

/// `GET /wxa/resetusersessionkey`. The new key ends when the old one would have.
pub(crate) fn reset(world: &mut World, call: &Call) -> Outcome {
    call.require_get()?;
    let open_id = prove(world, call)?;
    let session = world
        .sessions
        .find_mut(&open_id)
        .ok_or(errcode::NO_SESSION_KEY)?;
    if !session.resets.admit(call.now) {
        return Err(errcode::MINUTE_LIMIT);
    }
    session.rotate(&mut world.rng);
    let key = session.key.text();
    Ok(json!({"errcode": 0, "errmsg": "ok", "openid": open_id, "session_key": key}))
}

/// `/wxa/business/getuserencryptkey`, which WeChat's page has as GET and its sample as POST.
pub(crate) fn encrypt_keys(world: &mut World, call: &Call) -> Outcome {
    let open_id = prove(world, call)?;
    let session = world
        .sessions
        .find_mut(&open_id)
        .ok_or(errcode::NO_SESSION_KEY)?;
    let keys = session.encrypt_keys(&mut world.rng, call.now);
    let list: Vec<Value> = keys.iter().map(|key| key_info(key, call.now)).collect();
    Ok(json!({"errcode": 0, "errmsg": "ok", "key_info_list": list}))
}

fn key_info(key: &EncryptKey, now: u64) -> Value {
    json!({
        "encrypt_key": key.key.text(),
        "iv": key.iv,
        "version": key.version,
        "expire_in": key.left(now) / SECOND,
        "create_time": key.created_at / SECOND,
    })
}

/// The openid whose living `session_key` signed the call.
fn prove(world: &World, call: &Call) -> Result<String, Refusal> {
    let app_id = call.app_id(world)?;
    let open_id = call.param("openid");
    if open_id.is_empty() {
        return Err(errcode::OPENID_MISSING);
    }
    if call.param("sig_method") != "hmac_sha256" {
        return Err(errcode::INVALID_SIG_METHOD);
    }
    let session = session_of(world, open_id, &app_id)?;
    if session.has_expired(call.now) {
        return Err(errcode::NO_SESSION_KEY);
    }
    if session.key.sign_message(b"") != call.param("signature") {
        return Err(errcode::INVALID_SIGNATURE);
    }
    Ok(open_id.to_owned())
}

fn session_of<'a>(world: &'a World, open_id: &str, app_id: &str) -> Result<&'a Session, Refusal> {
    let session = world.sessions.find(open_id);
    match session {
        Some(session) if session.owner.app_id == app_id => Ok(session),
        None if ids::is_open_id(open_id) => Err(errcode::NO_SESSION_KEY),
        _ => Err(errcode::INVALID_OPENID),
    }
}

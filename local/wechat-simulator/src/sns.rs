//! `/sns/jscode2session`: code2Session, the login.

use serde_json::json;

use crate::codes::Owner;
use crate::endpoint::{Call, Outcome};
use crate::errcode::{self, Refusal};
use crate::ids;
use crate::limits::{MINUTE, Window};
use crate::world::World;

/// 100 a minute for each user.
const RATE: Window = Window::new(100, MINUTE);

/// WeChat reads the query whatever the method: a POST with its parameters in the body gets 41002.
pub(crate) fn code_to_session(world: &mut World, call: &Call) -> Outcome {
    let code = authenticated_code(world, call)?;
    let owner = owner_of(world, code, call.param("appid"))?;
    let open_id = ids::open_id(&owner.app_id, &owner.user);
    admit(world, &open_id, call.now)?;
    redeemable(world, code, call.now)?;
    let user = world.users.find(&owner.user);
    world.login_codes.spend(code);
    if user.high_risk {
        return Err(errcode::CODE_BLOCKED);
    }
    let keep = user.keep_session_key;
    let key = world
        .sessions
        .log_in(&open_id, owner, keep, &mut world.rng, call.now);
    let mut answer = json!({"openid": open_id, "session_key": key.text()});
    if let Some(union_id) = user.union_id {
        answer["unionid"] = union_id.into();
    }
    Ok(answer)
}

fn authenticated_code<'a>(world: &World, call: &'a Call) -> Result<&'a str, Refusal> {
    let (app_id, secret, code) = (
        call.param("appid"),
        call.param("secret"),
        call.param("js_code"),
    );
    if app_id.is_empty() {
        return Err(errcode::APPID_MISSING);
    }
    if secret.is_empty() {
        return Err(errcode::APPSECRET_MISSING);
    }
    if code.is_empty() {
        return Err(errcode::CODE_MISSING);
    }
    if call.param("grant_type") != "authorization_code" {
        return Err(errcode::INVALID_GRANT_TYPE);
    }
    world.apps.authenticate(app_id, secret)?;
    Ok(code)
}

/// A code of another app is as wrong as one that never was.
fn owner_of(world: &World, code: &str, app_id: &str) -> Result<Owner, Refusal> {
    let code = world
        .login_codes
        .find(code)
        .filter(|code| code.owner.app_id == app_id);
    code.map(|code| code.owner.clone())
        .ok_or(errcode::INVALID_CODE)
}

fn admit(world: &mut World, open_id: &str, now: u64) -> Result<(), Refusal> {
    if world.login_rate.peek(open_id).is_none() {
        world.login_rate.insert(open_id.to_owned(), RATE);
    }
    let admitted = world
        .login_rate
        .get_mut(open_id)
        .is_none_or(|window| window.admit(now));
    if admitted {
        Ok(())
    } else {
        Err(errcode::MINUTE_LIMIT)
    }
}

fn redeemable(world: &World, code: &str, now: u64) -> Result<(), Refusal> {
    match world.login_codes.find(code) {
        Some(code) if code.used => Err(errcode::CODE_BEEN_USED),
        Some(code) if !code.has_expired(now) => Ok(()),
        _ => Err(errcode::INVALID_CODE),
    }
}

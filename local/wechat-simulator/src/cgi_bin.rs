//! `/cgi-bin/*`: where access tokens come from.

use serde::Deserialize;
use serde_json::json;

use crate::access_token::Granted;
use crate::endpoint::{Call, Outcome};
use crate::errcode::{self, Refusal};
use crate::world::World;

#[derive(Default, Deserialize)]
#[serde(default)]
struct StableTokenRequest {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

/// `POST /cgi-bin/stable_token`.
pub(crate) fn stable_token(world: &mut World, call: &Call) -> Outcome {
    call.require_post()?;
    let request: StableTokenRequest = call.json()?;
    authenticate(world, &request.grant_type, &request.appid, &request.secret)?;
    let force = request.force_refresh;
    let granted = world
        .access_tokens
        .stable(&request.appid, force, &mut world.rng, call.now)?;
    Ok(answer(&granted))
}

/// `GET /cgi-bin/token`.
pub(crate) fn token(world: &mut World, call: &Call) -> Outcome {
    call.require_get()?;
    let app_id = call.param("appid");
    authenticate(
        world,
        call.param("grant_type"),
        app_id,
        call.param("secret"),
    )?;
    let granted = world
        .access_tokens
        .classic(app_id, &mut world.rng, call.now)?;
    Ok(answer(&granted))
}

fn authenticate(
    world: &World,
    grant_type: &str,
    app_id: &str,
    secret: &str,
) -> Result<(), Refusal> {
    if grant_type != "client_credential" {
        return Err(errcode::INVALID_GRANT_TYPE);
    }
    if app_id.is_empty() {
        return Err(errcode::APPID_MISSING);
    }
    if secret.is_empty() {
        return Err(errcode::APPSECRET_MISSING);
    }
    world.apps.authenticate(app_id, secret)
}

fn answer(granted: &Granted) -> serde_json::Value {
    json!({"access_token": granted.token, "expires_in": granted.expires_in})
}

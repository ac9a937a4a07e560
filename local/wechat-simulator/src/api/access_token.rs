//! `/cgi-bin/stable_token` and `/cgi-bin/token`: access tokens.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::state::State;
use crate::state::access_tokens::GrantedToken;
use crate::state::apps::require_credentials;

#[derive(Default, Deserialize)]
#[serde(default)]
struct StableTokenRequest {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

/// `POST /cgi-bin/stable_token`.
pub(crate) fn stable_token(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let request: StableTokenRequest = call.json()?;
    authenticate(state, &request.grant_type, &request.appid, &request.secret)?;
    let force = request.force_refresh;
    let granted = state
        .access_tokens
        .stable(&request.appid, force, &mut state.rng, call.now)?;
    Ok(response(&granted))
}

/// `GET /cgi-bin/token`.
pub(crate) fn token(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_get()?;
    let app_id = call.param("appid");
    authenticate(
        state,
        call.param("grant_type"),
        app_id,
        call.param("secret"),
    )?;
    let granted = state
        .access_tokens
        .classic(app_id, &mut state.rng, call.now)?;
    Ok(response(&granted))
}

fn authenticate(
    state: &State,
    grant_type: &str,
    app_id: &str,
    secret: &str,
) -> Result<(), ApiError> {
    if grant_type != "client_credential" {
        return Err(errcode::INVALID_GRANT_TYPE);
    }
    require_credentials(app_id, secret)?;
    state.apps.authenticate(app_id, secret)
}

fn response(granted: &GrantedToken) -> Value {
    json!({"access_token": granted.token, "expires_in": granted.expires_in})
}

//! `POST /api/v1/user/login`: exchanges a `wx.login` code for a session;
//! `POST /api/v1/user/phone/resolve`: what can be done when another user has the caller's number.

mod claims;
mod flow;
mod input;
#[cfg(feature = "openapi")]
mod openapi;
mod rate_limit;
mod resolve;
mod settings;

use std::sync::Arc;

use axum::{
    extract::{FromRef, State},
    routing::post,
};
use http::{HeaderMap, header::USER_AGENT};
use serde::Serialize;
use shared::{
    api::{ApiError, Json, Reason, Rule, Success, Violation},
    auth::{Admission, Client, TokenPair},
    config::RequiredConsent,
    edge::{ClientAddress, Routes},
    instance::Instance,
    request,
    users::User,
};

use flow::{Attempt, LoggedIn, Login, PhoneOutcome};
use input::LoginInput;

#[cfg(feature = "openapi")]
pub use openapi::operations;
pub use settings::DOCUMENTED;

/// The maximum length of a stored user agent, which is only shown in the list of sessions.
const MAX_USER_AGENT: usize = 256;

#[derive(Clone, FromRef)]
struct Logins {
    login: Arc<Login>,
    admission: Admission,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start(2);
    instance.sealed_bodies();
    let state = Logins {
        login: Arc::new(Login::new(instance)),
        admission: instance.admission(),
    };
    Routes::new()
        .route("/api/v1/user/login", post(login))
        .route("/api/v1/user/phone/resolve", post(resolve::resolve))
        .with_state(state)
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(description = "A session, and whose it is.")
)]
#[serde(rename_all = "camelCase")]
struct LoginResponse {
    #[serde(flatten)]
    tokens: TokenPair,
    user: User,
    is_new_user: bool,
    /// What the user has to agree to; left out where nothing is required of anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    consents_missing: Option<Vec<RequiredConsent>>,
    /// What became of the number, if the login brought one.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<Box<PhoneOutcome>>,
}

async fn login(
    State(login): State<Arc<Login>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    input: Result<Json<LoginInput>, ApiError>,
) -> Result<Success<LoginResponse>, ApiError> {
    let ticket = login.ticket(address)?;
    let attempt = match input.and_then(|Json(input)| attempt(&login, input, &headers)) {
        Ok(attempt) => attempt,
        Err(error) => {
            login.admit(ticket).await?;
            return Err(error);
        }
    };
    request::note(|notes| notes.app_id = Some(attempt.client.app_id.clone()));
    let opened = match login.log_in(attempt, ticket).await {
        Ok(opened) => opened,
        Err(error) => return Err(login.failed(address, error).await),
    };
    request::note(|notes| notes.user_id = Some(opened.user.id));
    Ok(Success(answer(&login, opened)?))
}

/// What a client is answered that is logged in.
fn answer(login: &Login, opened: LoggedIn) -> Result<LoginResponse, ApiError> {
    let tokens = login
        .tokens
        .issue(&opened.session, opened.user.role)
        .ok_or(Reason::Internal)?;
    let consents = &opened.user.consents;
    Ok(LoginResponse {
        consents_missing: login.required.missing_if_any_required(consents),
        tokens,
        user: opened.user,
        is_new_user: opened.is_new,
        phone: opened.phone,
    })
}

fn attempt(login: &Login, input: LoginInput, headers: &HeaderMap) -> Result<Attempt, ApiError> {
    let app_id = login.app(input.app_id.as_deref());
    let app_id =
        app_id.ok_or_else(|| ApiError::invalid(vec![Violation::new("appId", Rule::AppId)]))?;
    Ok(Attempt {
        code: input.code,
        cancel_deletion: input.cancel_deletion,
        phone_code: input.phone_code,
        client: Client {
            app_id: app_id.clone(),
            open_id: None,
            user_agent: user_agent(headers),
        },
    })
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(MAX_USER_AGENT).collect())
}

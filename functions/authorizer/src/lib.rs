//! The admission of this API for functions that are not part of it: a Lambda authorizer of HTTP and
//! REST APIs.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>
//!
//! API Gateway asks before it calls such a function, and caches the answer by the token. Each question
//! takes the way of a request, through the same edge, to one route that no client can call.

mod answer;
mod caller;
mod events;
mod question;

use axum::{extract::State, http::HeaderMap, routing::get};
use shared::{
    api::{ApiError, bearer_token},
    auth::Admission,
    edge::Routes,
    instance::Instance,
    request,
};

use self::caller::Caller;
pub use self::events::AuthorizerEvents;

/// The path of questions, as the log names it.
const AUTHORIZE: &str = "/authorize";

/// What answers API Gateway's questions. Not for clients: the answer is in the response's extensions.
pub fn decisions(instance: &Instance) -> Routes {
    Routes::new()
        .route(AUTHORIZE, get(decide))
        .with_state(instance.admission())
}

/// The routes for clients: there are none. It asks for the same parts as [`decisions`].
pub fn routes(instance: &Instance) -> Routes {
    let _ = decisions(instance);
    Routes::new()
}

/// Who sends a request: the checks of all other functions, without their rate limit. What API Gateway
/// has cached would not count towards it, and what is above it could only be answered 401 or 500.
async fn decide(
    State(admission): State<Admission>,
    headers: HeaderMap,
) -> Result<Caller, ApiError> {
    let (claims, user) = admission.inspect(bearer_token(&headers)).await?;
    request::note(|notes| {
        notes.user_id = Some(claims.sub);
        notes.app_id = Some(claims.aud.clone());
    });
    Ok(Caller::new(&claims, &user))
}

/// The routes for clients.
#[cfg(feature = "openapi")]
#[must_use]
pub fn operations() -> Vec<shared::openapi::Operation> {
    Vec::new()
}

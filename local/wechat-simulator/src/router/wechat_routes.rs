//! WeChat's paths. Every call is counted, may get an injected fault, and is answered.

use axum::Router;
use axum::extract::{self, Query};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::{Method, Uri};
use serde_json::Value;

use crate::api::{
    access_token, code_to_session, custom_message, media_check, phone_number, sec_check,
    session_keys, subscribe_message, url_link, wxacode,
};
use crate::protocol::api_path::Api;
use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::response::{ApiBody, ApiResponse};
use crate::router::fault_injection::inject;
use crate::simulator::Simulator;
use crate::state::State;
use crate::state::fault::Fault;

type Handler = fn(&mut State, &ApiCall) -> ApiOutcome;

fn carry_out(state: &mut State, api: Api, call: &ApiCall) -> Result<ApiBody, ApiError> {
    let handler: Handler = match api {
        Api::CodeToSession => code_to_session::code_to_session,
        Api::StableToken => access_token::stable_token,
        Api::Token => access_token::token,
        Api::PhoneNumber => phone_number::phone_number,
        Api::CheckSession => session_keys::check,
        Api::ResetSessionKey => session_keys::reset,
        Api::EncryptKeys => session_keys::encrypt_keys,
        Api::SecCheck => sec_check::check,
        Api::MediaCheck => media_check::check,
        Api::SubscribeMessage => subscribe_message::send,
        Api::CustomMessage => custom_message::send,
        Api::UrlLink => url_link::generate,
        Api::WxaCode => return wxacode::code(state, call).map(ApiBody::Picture),
    };
    handler(state, call).map(ApiBody::Json)
}

pub(super) fn router(simulator: &Simulator) -> Router {
    let mut router = Router::new();
    for api in Api::ALL {
        let serve = move |extract::State(simulator): extract::State<Simulator>,
                          method,
                          uri,
                          body| async move {
            serve(&simulator, api, method, &uri, body).await
        };
        router = router.route(api.path(), any(serve));
    }
    router.fallback(unknown_path).with_state(simulator.clone())
}

async fn serve(
    simulator: &Simulator,
    api: Api,
    method: Method,
    uri: &Uri,
    body: Bytes,
) -> Response {
    let query = Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let (response, fault) = simulator.with(|state, now| {
        let call = ApiCall {
            method,
            query,
            body,
            now,
        };
        state.calls.count(api.path());
        respond(state, api, &call)
    });
    if api == Api::MediaCheck {
        simulator.deliver_verdicts();
    }
    match fault {
        Some(fault) => inject(&fault, response).await,
        None => response.into(),
    }
}

/// A fault with an errcode or a status replaces the call. With any other fault the call is carried
/// out, and its response is damaged afterwards.
fn respond(state: &mut State, api: Api, call: &ApiCall) -> (ApiResponse, Option<Fault>) {
    let fault = state.faults.next_for(api.path());
    let outcome = match fault.as_ref().and_then(Fault::error) {
        Some(error) => Err(error),
        None if fault.as_ref().is_some_and(|fault| fault.status.is_some()) => {
            Ok(ApiBody::Json(Value::Null))
        }
        None => carry_out(state, api, call),
    };
    let response = ApiResponse::new(api.path(), outcome, &mut state.rng, call.now);
    (response, fault)
}

async fn unknown_path(extract::State(simulator): extract::State<Simulator>, uri: Uri) -> Response {
    let outcome = Err(errcode::INVALID_URL);
    simulator
        .with(|state, now| ApiResponse::new(uri.path(), outcome, &mut state.rng, now))
        .into()
}

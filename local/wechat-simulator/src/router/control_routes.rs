//! The control side over HTTP.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::encrypted_data::DataKind;
use crate::control::push::PushOrder;
use crate::control::session_key::SessionKeyAction;
use crate::control_error::ControlError;
use crate::router::control_call::{ControlResponse, UserInApp, deliver, error, parse};
use crate::router::message_routes;
use crate::simulator::Simulator;
use crate::state::fault::Fault;
use crate::state::users::UserChange;

pub(super) fn router(simulator: &Simulator) -> Router {
    Router::new()
        .route("/code", post(code))
        .route("/phone-code", post(phone_code))
        .route("/encrypted-data", post(encrypted_data))
        .route("/encrypted-message", post(encrypted_message))
        .route("/users", put(users))
        .route("/session-key", post(session_key))
        .route("/push", post(push))
        .route("/faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/calls", get(calls))
        .merge(message_routes::router())
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no such control call") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "another method is needed")
        })
        .with_state(simulator.clone())
}

async fn code(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let UserInApp { user, app_id } = parse(&body)?;
    let code = simulator.mint_code(&user, app_id.as_deref())?;
    Ok(Json(json!({"code": code})))
}

async fn phone_code(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let UserInApp { user, app_id } = parse(&body)?;
    let code = simulator.phone_code(&user, app_id.as_deref())?;
    Ok(Json(json!({"code": code})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DataRequest {
    user: String,
    kind: DataKind,
    app_id: Option<String>,
}

async fn encrypted_data(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let DataRequest { user, kind, app_id } = parse(&body)?;
    let data = simulator.encrypted_data(&user, kind, app_id.as_deref())?;
    Ok(Json(json!(data)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageRequest {
    user: String,
    text: String,
    app_id: Option<String>,
}

async fn encrypted_message(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let MessageRequest { user, text, app_id } = parse(&body)?;
    let message = simulator.encrypted_message(&user, &text, app_id.as_deref())?;
    Ok(Json(json!(message)))
}

async fn users(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    // Not `flatten`: serde can't reject unknown fields together with it.
    let mut fields: serde_json::Map<String, Value> = parse(&body)?;
    let Some(Value::String(user)) = fields.remove("user") else {
        return Err(ControlError::invalid("user: a text is needed"));
    };
    let change: UserChange = serde_json::from_value(Value::Object(fields))
        .map_err(|error| ControlError::invalid(error.to_string()))?;
    simulator.change_user(&user, change)?;
    Ok(Json(json!({"user": user})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionKeyRequest {
    user: String,
    action: SessionKeyAction,
    app_id: Option<String>,
}

async fn session_key(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let SessionKeyRequest {
        user,
        action,
        app_id,
    } = parse(&body)?;
    simulator.session_key(&user, action, app_id.as_deref())?;
    Ok(Json(json!({"user": user})))
}

async fn push(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let order: PushOrder = parse(&body)?;
    let request = simulator.push(&order)?;
    Ok(Json(deliver(&simulator, request).await))
}

async fn faults(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"faults": simulator.with(|state, _| state.faults.all())}))
}

async fn set_faults(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let faults: Vec<Fault> = match parse::<Value>(&body)? {
        Value::Array(_) => parse(&body)?,
        _ => vec![parse(&body)?],
    };
    simulator.set_faults(faults)?;
    Ok(self::faults(State(simulator)).await)
}

async fn clear_faults(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear_faults();
    self::faults(State(simulator)).await
}

async fn calls(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({"calls": simulator.all_calls()}))
}

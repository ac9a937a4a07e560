//! What the calls of the control side have in common: how bodies are read, and what they are answered.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control_error::ControlError;
use crate::protocol::push::PushRequest;
use crate::simulator::Simulator;

pub(super) type ControlResponse = Result<Json<Value>, ControlError>;

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotLoggedIn => StatusCode::CONFLICT,
            Self::Invalid(_) | Self::UnknownApp => StatusCode::BAD_REQUEST,
        };
        error(status, &self.to_string())
    }
}

pub(super) fn error(status: StatusCode, what: &str) -> Response {
    (status, Json(json!({"error": what}))).into_response()
}

/// Ignores the content type: `curl -d` labels every body as a form.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(|error| ControlError::invalid(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserInApp {
    pub(super) user: String,
    pub(super) app_id: Option<String>,
}

/// Delivers a push where there is a transport.
pub(super) async fn deliver(simulator: &Simulator, request: PushRequest) -> Value {
    let mut result = json!({"request": request});
    if let Some(transport) = simulator.transport() {
        let response = transport(request).await;
        (result["status"], result["answer"]) = (response.status.into(), response.body.into());
    }
    result
}

//! Responses that no handler wrote.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header::CONTENT_TYPE};

use crate::api::{ApiError, Reason};

pub(super) async fn not_found() -> ApiError {
    Reason::NotFound.into()
}

/// The router adds `Allow`.
pub(super) async fn method_not_allowed() -> ApiError {
    Reason::MethodNotAllowed.into()
}

/// Turns an error of the framework into an envelope; handlers' errors are JSON already.
pub(super) fn envelope(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/json");
    if !is_error || is_json {
        return response;
    }
    ApiError::new(reason_of(status)).into_response()
}

fn reason_of(status: StatusCode) -> Reason {
    match status {
        StatusCode::NOT_FOUND => Reason::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Reason::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Reason::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Reason::UnsupportedMediaType,
        StatusCode::GATEWAY_TIMEOUT => Reason::UpstreamTimeout,
        StatusCode::SERVICE_UNAVAILABLE => Reason::Unavailable,
        status if status.is_client_error() => Reason::InvalidRequest,
        _ => Reason::Internal,
    }
}

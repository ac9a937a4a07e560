//! `{"code":200,"message":"操作成功","data":…}`

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

/// The body of every response, success or failure.
#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    message: &'a str,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// A success's body.
///
/// # Errors
/// When `data` can't be written as JSON.
pub(super) fn success<T: Serialize>(
    status: StatusCode,
    message: &str,
    data: T,
) -> serde_json::Result<Response> {
    let envelope = Envelope {
        code: status.as_u16(),
        message,
        data,
        reason: None,
    };
    Ok(respond(status, serde_json::to_vec(&envelope)?))
}

/// A failure's body. Serializing it can't fail.
pub(super) fn failure<T: Serialize>(
    status: StatusCode,
    message: &str,
    reason: &'static str,
    data: T,
) -> Response {
    let envelope = Envelope {
        code: status.as_u16(),
        message,
        data,
        reason: Some(reason),
    };
    respond(status, serde_json::to_vec(&envelope).unwrap_or_default())
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

//! `{"code":200,"message":"操作成功","data":…}`

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use super::{ApiError, Reason};
use crate::request::{self, Language};

/// Every body, success or failure.
#[derive(Serialize)]
struct Envelope<'a, T> {
    code: u16,
    message: &'a str,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// A success with `data`.
pub struct Success<T>(pub T);

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        let message = match request::language() {
            Language::Chinese => "操作成功",
            Language::English => "OK",
        };
        let envelope = Envelope {
            code: 200,
            message,
            data: self.0,
            reason: None,
        };
        match serde_json::to_vec(&envelope) {
            Ok(body) => respond(StatusCode::OK, body),
            Err(error) => ApiError::new(Reason::Internal)
                .because(&error)
                .into_response(),
        }
    }
}

/// A failure's body. Nothing in it can fail to be written.
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

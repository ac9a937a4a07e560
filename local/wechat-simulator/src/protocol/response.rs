//! The HTTP response to a call.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::protocol::errcode::ApiError;
use crate::protocol::ids;

/// What a successful call returns.
pub(crate) enum ApiBody {
    Json(Value),
    /// A PNG file.
    Picture(Vec<u8>),
}

/// A response before a fault is applied to it.
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl ApiResponse {
    /// `/sns/*` labels its JSON as plain text, and puts a comma before the request id; the other
    /// paths do neither.
    pub(crate) fn new(
        path: &str,
        outcome: Result<ApiBody, ApiError>,
        rng: &mut StdRng,
        now: u64,
    ) -> Self {
        let is_sns = path.starts_with("/sns/");
        let value = match outcome {
            Ok(ApiBody::Json(value)) => value,
            Ok(ApiBody::Picture(file)) => return Self::picture(file),
            Err(error) => {
                let comma = if is_sns { "," } else { "" };
                let request_id = ids::request_id(rng, now);
                let message = format!("{}{comma} rid: {request_id}", error.message);
                json!({"errcode": error.code, "errmsg": message})
            }
        };
        let content_type = if is_sns {
            "text/plain"
        } else {
            "application/json; encoding=utf-8"
        };
        Self {
            status: StatusCode::OK,
            content_type,
            body: value.to_string().into(),
        }
    }

    fn picture(file: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "image/png",
            body: file.into(),
        }
    }
}

impl From<ApiResponse> for Response {
    fn from(response: ApiResponse) -> Self {
        let mut http = Self::new(Body::from(response.body));
        *http.status_mut() = response.status;
        let content_type = HeaderValue::from_static(response.content_type);
        http.headers_mut().insert(CONTENT_TYPE, content_type);
        http
    }
}

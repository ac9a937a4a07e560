//! Outcomes as WeChat puts them on the wire.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use rand::rngs::StdRng;
use serde_json::json;

use crate::endpoint::Outcome;
use crate::ids;

/// An answer before a fault may spoil it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// `/sns/*` says that its JSON is plain text, and puts a comma before the request id; the rest does
/// not.
pub(crate) fn render(path: &str, outcome: Outcome, rng: &mut StdRng, now: u64) -> Answer {
    let is_sns = path.starts_with("/sns/");
    let value = outcome.unwrap_or_else(|refusal| {
        let comma = if is_sns { "," } else { "" };
        let request_id = ids::request_id(rng, now);
        let message = format!("{}{comma} rid: {request_id}", refusal.message);
        json!({"errcode": refusal.code, "errmsg": message})
    });
    let content_type = if is_sns {
        "text/plain"
    } else {
        "application/json; encoding=utf-8"
    };
    Answer {
        status: StatusCode::OK,
        content_type,
        body: value.to_string().into(),
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        let content_type = HeaderValue::from_static(answer.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

//! The last answer on a connection whose bytes are not a request.

use std::net::IpAddr;

use axum::{
    Router,
    http::{
        Method, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH},
    },
};
use http_body_util::{BodyExt, Collected};
use shared::{api::Reason, clock::Clock, edge::Malformed};
use tower::ServiceExt;

use super::request::malformed;

/// Half of a head's limit, in bytes.
const LONG_LINE: usize = 32 * 1024;

/// What is wrong with a request that hyper answers with `status`. `unparsed` are the bytes that it
/// did not understand.
pub(super) fn of_parser(status: StatusCode, unparsed: &[u8]) -> Malformed {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if !has_long_target(unparsed) => Malformed {
            reason: Reason::HeadersTooLarge,
            cause: "too many headers, or too long ones",
        },
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => Malformed {
            reason: Reason::UriTooLong,
            cause: "the request's target is too long",
        },
        _ => Malformed::invalid("not HTTP/1.1"),
    }
}

/// Whether it is the first line that makes a head too large.
fn has_long_target(head: &[u8]) -> bool {
    let end = head.iter().position(|byte| *byte == b'\n');
    end.is_none_or(|length| length > LONG_LINE)
}

/// A head that did not end in time.
pub(super) const HEAD_TIMED_OUT: Malformed = Malformed {
    reason: Reason::RequestTimeout,
    cause: "the request's head did not arrive in time",
};

/// The answer as bytes: the app's own, with its request id, its envelope and its line in the log.
pub(super) async fn written(app: Router, error: Malformed, peer: IpAddr) -> Vec<u8> {
    let method = Method::from_bytes(b"INVALID").unwrap_or_default();
    let request = malformed(method, error, peer);
    let Ok(response) = app.oneshot(request).await;
    let (mut parts, body) = response.into_parts();
    // Both are written here.
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONNECTION);
    // Envelopes are in memory: collecting one does not fail.
    let body = body
        .collect()
        .await
        .map(Collected::to_bytes)
        .unwrap_or_default();
    let status = parts.status;
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
        Clock::System.now().strftime("%a, %d %b %Y %H:%M:%S GMT"),
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

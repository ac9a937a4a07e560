//! Applies a fault to the response of a call.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;

use crate::protocol::response::ApiResponse;
use crate::state::fault::{Fault, Garbage};

/// Bytes that are neither JSON nor UTF-8.
const NOISE: &[u8] = b"\x1f\x8b\x08\0noise\xff\xfe{\"op";

pub(super) async fn inject(fault: &Fault, mut response: ApiResponse) -> Response {
    if let Some(latency) = fault.latency_ms {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    if fault.reset {
        return broken_connection();
    }
    if let Some(status) = fault.status {
        response.status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        if fault.errcode.is_none() {
            response.content_type = "text/html";
            response.body = error_page(response.status);
        }
    }
    match fault.garbage {
        Garbage::No => {}
        Garbage::Noise => response.body = Bytes::from_static(NOISE),
        Garbage::Truncated => response.body.truncate(response.body.len() / 2),
    }
    response.into()
}

/// A body that fails before its first byte: hyper has not sent the head by then, and closes the
/// connection.
fn broken_connection() -> Response {
    let failure = io::Error::new(io::ErrorKind::ConnectionReset, "an injected fault");
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])))
}

fn error_page(status: StatusCode) -> Bytes {
    format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>")
        .into()
}

//! A panic becomes the 500 of its request.

use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::api::{ApiError, Reason};

/// Ignores the panic's message: the panic hook has logged what may be logged.
pub(super) async fn caught(answer: impl Future<Output = Response>) -> Response {
    // What a panic leaves behind is dropped with the request.
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(_) => ApiError::new(Reason::Internal).into_response(),
    }
}

//! The response of a request that succeeded.

use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, Reason, envelope};
use crate::request::{self, Language};

/// The `data` of a success that has nothing to return: `{}`.
#[derive(Serialize)]
pub struct Empty {}

/// A success with `data`.
pub struct Success<T>(pub T);

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        let message = match request::language() {
            Language::Chinese => "操作成功",
            Language::English => "OK",
        };
        envelope::success(message, self.0).unwrap_or_else(|error| {
            ApiError::new(Reason::Internal)
                .because(&error)
                .into_response()
        })
    }
}

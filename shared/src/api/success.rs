//! The response of a request that succeeded.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::{ApiError, Reason, envelope};
use crate::request::{self, Language};

/// The `data` of a success that has nothing to return: `{}`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Empty {}

/// A success with `data`.
pub struct Success<T>(pub T);

/// What was asked for is under way and will be carried through: 202, with `data`.
pub struct Accepted<T>(pub T);

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        let message = match request::language() {
            Language::Chinese => "操作成功",
            Language::English => "OK",
        };
        respond(StatusCode::OK, message, self.0)
    }
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        let message = match request::language() {
            Language::Chinese => "已受理，正在处理",
            Language::English => "Accepted",
        };
        respond(StatusCode::ACCEPTED, message, self.0)
    }
}

fn respond<T: Serialize>(status: StatusCode, message: &str, data: T) -> Response {
    envelope::success(status, message, data).unwrap_or_else(|error| {
        ApiError::new(Reason::Internal)
            .because(&error)
            .into_response()
    })
}

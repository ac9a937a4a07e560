//! A call to one of WeChat's APIs, and its outcome.

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::protocol::errcode::{self, ApiError};

/// The JSON of a response, or the error that WeChat would return.
pub(crate) type ApiOutcome = Result<Value, ApiError>;

/// A request as the handlers see it.
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: Bytes,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
}

impl ApiCall {
    /// A query parameter, or the empty text when it is missing: WeChat does not distinguish them.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn require_get(&self) -> Result<(), ApiError> {
        if self.method == Method::GET {
            Ok(())
        } else {
            Err(errcode::GET_REQUIRED)
        }
    }

    pub(crate) fn require_post(&self) -> Result<(), ApiError> {
        if self.method == Method::POST {
            Ok(())
        } else {
            Err(errcode::POST_REQUIRED)
        }
    }

    /// The body as JSON. Like WeChat, it ignores the content type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.body.is_empty() {
            return Err(errcode::EMPTY_POST_DATA);
        }
        serde_json::from_slice(&self.body).map_err(|_| errcode::DATA_FORMAT)
    }
}

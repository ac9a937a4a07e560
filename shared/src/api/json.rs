//! Reads a body, mostly JSON: parse, don't validate. A handler receives a valid value, or isn't
//! called.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::timeout;

use super::{ApiError, Checks, MAX_BODY, Reason, Rule, Violation};
use crate::resilience::bulkhead::AtCapacity;

/// How much of an oversized body is discarded, and for how long, before the response.
const DISCARD: usize = 4 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A request body, parsed for a handler.
pub trait Input: Sized {
    /// Its JSON form, which rejects unknown fields (`#[serde(deny_unknown_fields)]`).
    type Raw: DeserializeOwned;

    /// The maximum size of the body, in bytes.
    const MAX_SIZE: usize = MAX_BODY;

    /// Whether an empty body means `{}`.
    const MAY_BE_EMPTY: bool = false;

    /// The value, or `None` after a violation was added to `checks`.
    fn parse(raw: Self::Raw, checks: &mut Checks) -> Option<Self>;
}

/// The body of a request as a `T`. Rejects others with 400, 413 or 415.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let body = read_body(request.into_body(), T::MAX_SIZE).await?;
        if body.is_empty() && T::MAY_BE_EMPTY {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            return Err(Reason::UnsupportedMediaType.into());
        }
        parse(&body).map(Self)
    }
}

/// The raw body of a request, whatever its content type. Rejects one that is too large with 413.
pub struct Raw(pub Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = read_body(request.into_body(), MAX_BODY).await;
        body.map(Self)
    }
}

fn parse<T: Input>(body: &[u8]) -> Result<T, ApiError> {
    let raw =
        deserialize::<T::Raw>(body).map_err(|violation| ApiError::invalid(vec![violation]))?;
    let mut checks = Checks::default();
    let parsed = T::parse(raw, &mut checks);
    checks.finish().map_err(ApiError::invalid)?;
    parsed.ok_or_else(|| Reason::InvalidRequest.into())
}

/// Reads at most `max` bytes.
pub(crate) async fn read_body(mut body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&error))?;
        // Trailers are not part of the body.
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > max {
            discard(body).await;
            return Err(Reason::BodyTooLarge.into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The client did not send the rest of a body in time. A server's bodies fail with it.
#[derive(Debug, Clone, Copy, Error)]
#[error("the body did not arrive in time")]
pub struct BodyTimedOut;

/// Why a body can't be read: mostly because its connection broke.
fn unreadable(error: &axum::Error) -> ApiError {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<AtCapacity>() {
            return (*error).into();
        }
        if error.is::<BodyTimedOut>() {
            return ApiError::new(Reason::RequestTimeout).because(error);
        }
        source = error.source();
    }
    ApiError::new(Reason::InvalidRequest).because(error)
}

/// Discards the rest of an oversized body, within bounds: closing a connection with unread bytes
/// resets it, and the client would see the reset instead of the response.
async fn discard(mut body: Body) {
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.into_data().unwrap_or_default().len();
            if seen > DISCARD {
                break;
            }
        }
    };
    // A client that is slower than this sees the reset.
    let _ = timeout(DISCARD_TIME, rest).await;
}

/// `application/json` or a `+json` type (RFC 6839 §3.1), with any parameters; but not the type of a
/// sealed body, which arrives here only where sealed bodies are off.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json && essence != "application/jose+json"
}

/// serde's error texts quote the value, which can be a secret: the client gets the field and the
/// rule instead.
fn deserialize<T: DeserializeOwned>(body: &[u8]) -> Result<T, Violation> {
    // serde also accepts an array for a struct, with its fields in order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Violation::new("", Rule::Type));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        violation(&path, error.inner())
    })?;
    json.end().map_err(|_| Violation::new("", Rule::Json))?;
    Ok(value)
}

fn violation(path: &str, error: &serde_json::Error) -> Violation {
    if !error.is_data() {
        return Violation::new("", Rule::Json);
    }
    let (rule, field) = rule_and_field(&error.to_string(), path);
    Violation::new(field, rule)
}

/// The rule that one of serde's texts says is broken, and the field; `path` where the text names none.
pub(super) fn rule_and_field(text: &str, path: &str) -> (Rule, String) {
    let rules = [
        ("missing field", Rule::Required),
        ("unknown field", Rule::Unknown),
        ("duplicate field", Rule::Duplicate),
    ];
    let known = rules.into_iter().find(|(start, _)| text.starts_with(start));
    let (rule, field) = match known {
        // These texts name the field between backticks; the path ends at its parent.
        Some((_, rule)) => (rule, text.split('`').nth(1).unwrap_or(path)),
        None => (Rule::Type, path),
    };
    // A field's name is client input: returned, but cut to a limit.
    let field = field.trim_matches('.').chars().take(64).collect();
    (rule, field)
}

#[cfg(test)]
mod tests;

//! Sealed bodies: a request's JSON arrives as a JWE, and its response, success or failure, is
//! returned as a JWE under the same key.
//!
//! Order matters: cheap checks come first (form, lengths, key, time, method, path, access token),
//! then the rate limit of RSA operations, then the ciphertext, and only an authentic request is
//! checked for replay. What the cheap checks refuse is charged to its address as a request without
//! a valid token. Every failure is the same `decrypt_failed`; the log has the cause.

mod claims;
mod replays;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::BodyExt;
use thiserror::Error;
use tokio::time::timeout_at;

use self::replays::Replays;
use super::{Bounded, ClientIp};
use crate::{
    api::{ApiError, MAX_BODY, Reason, read_body},
    clock::Clock,
    crypto::{
        TransportKey, TransportKeys,
        jwe::{ContentKey, Form, JweError, SealedRequest},
    },
    kv::Kv,
    random::Random,
    resilience::{Limiter, Limits},
};

/// Why a sealed body is rejected. For the log only.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Refusal {
    #[error("sealed body: {0}")]
    Jwe(#[from] JweError),
    #[error("sealed body: no such key")]
    Key,
    #[error("sealed body: too old, or from the future")]
    Time,
    #[error("sealed body: made for another method or path")]
    Target,
    #[error("sealed body: no usable jti")]
    Id,
    #[error("sealed body: no ath, although an access token was sent")]
    Unbound,
    #[error("sealed body: made for another access token, or for none that was sent")]
    Token,
    #[error("sealed body: seen before")]
    Replay,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(Reason::DecryptFailed).because(&refusal)
    }
}

/// The step of sealed bodies. A trait, so that only functions that take such bodies link what opens
/// them.
pub(crate) trait SealedBodies: Send + Sync {
    /// Opens the body of `request`, and seals the route's response to it.
    fn pass(&self, form: Form, request: Request, route: Bounded) -> BoxFuture<'_, Response>;
}

/// Opens sealed bodies and seals their answers.
pub(crate) struct Sealing {
    keys: Arc<TransportKeys>,
    clock: Clock,
    random: Random,
    replays: Replays,
    limiter: Limiter,
    limits: Limits,
}

/// What [`Sealing`] needs.
pub(crate) struct SealingParts {
    pub(crate) keys: Arc<TransportKeys>,
    /// Stores which bodies were seen.
    pub(crate) kv: Kv,
    pub(crate) limiter: Limiter,
    /// What sealed bodies cost, for the private RSA operation that each needs, and what refused
    /// ones do.
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Sealing {
    pub(crate) fn new(parts: SealingParts) -> Self {
        let replays = Replays::new(parts.kv, parts.clock.clone(), parts.random.clone());
        Self {
            keys: parts.keys,
            clock: parts.clock,
            random: parts.random,
            replays,
            limiter: parts.limiter,
            limits: parts.limits,
        }
    }

    /// The request as its handler sees it, and the key for the response.
    async fn open(&self, form: Form, request: Request) -> Result<(Request, ContentKey), ApiError> {
        let (mut parts, body) = request.into_parts();
        let body = read_body(body, MAX_BODY).await?;
        let address = ClientIp::of(&parts.extensions);
        let (sealed, key) = match self.inspect(&body, form, &parts) {
            Ok(inspected) => inspected,
            Err(refusal) => {
                self.limiter
                    .charge_address(address, self.limits.guest)
                    .await?;
                return Err(refusal.into());
            }
        };
        self.limiter
            .charge_address(address, self.limits.sealed)
            .await?;
        let (content, response_key) = sealed.open(key, &self.random).map_err(Refusal::from)?;
        if !self.replays.is_first(sealed.digest()).await {
            return Err(Refusal::Replay.into());
        }
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        parts.headers.insert(CONTENT_LENGTH, content.len().into());
        Ok((
            Request::from_parts(parts, Body::from(content)),
            response_key,
        ))
    }

    /// All that can be checked without decryption.
    fn inspect(
        &self,
        body: &[u8],
        form: Form,
        request: &Parts,
    ) -> Result<(SealedRequest, &TransportKey), Refusal> {
        let sealed = SealedRequest::parse(body, form)?;
        let key = sealed.key(&self.keys).ok_or(Refusal::Key)?;
        claims::check(&sealed.header, request, self.clock.now_seconds())?;
        Ok((sealed, key))
    }

    /// The response with its body sealed; status and headers stay.
    async fn seal(&self, key: &ContentKey, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let content = match body.collect().await {
            Ok(content) => content.to_bytes(),
            Err(error) => {
                return ApiError::new(Reason::Internal)
                    .because(&error)
                    .into_response();
            }
        };
        let cty = content_type(&parts.headers)
            .map(|name| name.strip_prefix("application/").unwrap_or(name).to_owned());
        let Some(jwe) = key.seal(&content, cty, self.clock.now_seconds(), &self.random) else {
            return ApiError::new(Reason::Internal).into_response();
        };
        parts.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(media_type(key.form())),
        );
        parts.headers.insert(CONTENT_LENGTH, jwe.len().into());
        Response::from_parts(parts, Body::from(jwe))
    }
}

impl SealedBodies for Sealing {
    fn pass(&self, form: Form, request: Request, route: Bounded) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let end = route.end;
            let opening = crate::request::deadline::scope(Some(end), self.open(form, request));
            match timeout_at(end, opening).await {
                Ok(Ok((request, key))) => self.seal(&key, route.answer(request).await).await,
                Ok(Err(refused)) => refused.into_response(),
                Err(_) => ApiError::new(Reason::UpstreamTimeout).into_response(),
            }
        })
    }
}

/// The form of a request's sealed body. `None`: the body is not sealed.
pub(super) fn form_of(request: &Request) -> Option<Form> {
    let media_type = content_type(request.headers())?;
    [Form::Compact, Form::Flattened]
        .into_iter()
        .find(|form| media_type.eq_ignore_ascii_case(self::media_type(*form)))
}

/// The media type without its parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

fn media_type(form: Form) -> &'static str {
    match form {
        Form::Compact => "application/jose",
        Form::Flattened => "application/jose+json",
    }
}

#[cfg(test)]
mod tests;

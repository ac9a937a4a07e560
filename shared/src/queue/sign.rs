//! Signatures of calls (AWS Signature Version 4).

use aws_sdk_dynamodb::error::BoxError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::Full;
use jiff::Timestamp;

use super::QueueError;
use crate::sigv4::Signer;

/// The service's name in signatures.
pub(super) const SERVICE: &str = "sqs";

/// Signs a request with this body at `now`.
pub(super) fn sign(
    signer: &Signer,
    request: &mut Request<Full<Bytes>>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), QueueError> {
    let construction = |error: BoxError| QueueError::Construction(error.to_string());
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(body),
    );
    let signable = signable.map_err(|error| construction(error.into()))?;
    signer
        .sign(signable, SigningSettings::default(), now)
        .map_err(construction)?
        .apply_to_request_http1x(request);
    if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
        authorization.set_sensitive(true);
    }
    Ok(())
}

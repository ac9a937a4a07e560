//! Signatures of calls (AWS Signature Version 4).

use std::time::SystemTime;

use aws_sdk_dynamodb::{config::Credentials, error::BoxError};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::Full;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::QueueError;

/// The service's name in signatures.
const SERVICE: &str = "sqs";

/// Signs calls. It has no `Debug`, because it holds credentials.
pub(super) struct Signer {
    identity: Identity,
    region: String,
}

impl Signer {
    /// Signs for `region` with these credentials: ID, secret, and session token.
    pub(super) fn new(
        region: String,
        (id, secret, session): (String, SecretString, Option<SecretString>),
    ) -> Self {
        let session = session.map(|token| token.expose_secret().to_owned());
        let credentials =
            Credentials::new(id, secret.expose_secret(), session, None, "environment");
        Self {
            identity: credentials.into(),
            region,
        }
    }

    /// Signs a request with this body at `now`.
    pub(super) fn sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.try_sign(request, body, now)
            .map_err(|error| QueueError::Construction(error.to_string()))
    }

    fn try_sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), BoxError> {
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(body),
        )?;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + now.as_duration().unsigned_abs())
            .settings(SigningSettings::default())
            .build()?;
        let (instructions, _) = sign(signable, &params.into())?.into_parts();
        instructions.apply_to_request_http1x(request);
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        Ok(())
    }
}

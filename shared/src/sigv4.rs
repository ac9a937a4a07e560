//! Signatures of AWS requests and URLs (AWS Signature Version 4), by the credentials of this instance.
//! Nothing here makes a call. What one service wants differently stands beside its client.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::{config::Credentials, error::BoxError};
use aws_sigv4::{
    http_request::{
        SignableBody, SignableRequest, SignatureLocation, SigningInstructions, SigningSettings,
        sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use http::{Method, Request};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::config::{AwsCredentials, AwsKeys};

/// What signs for one service in one region, with the keys of the moment. It has no `Debug`, because
/// it holds credentials.
pub(crate) struct Signers {
    credentials: AwsCredentials,
    /// That of the last keys.
    last: RwLock<Option<Arc<Signer>>>,
    region: String,
    service: &'static str,
}

/// Signs with keys as they were at one moment: everything that belongs to one request. It has no
/// `Debug`, because it holds credentials.
pub(crate) struct Signer {
    keys: Arc<AwsKeys>,
    identity: Identity,
    region: String,
    service: &'static str,
}

impl Signers {
    /// `service` is its name in signatures.
    pub(crate) fn new(service: &'static str, region: String, credentials: AwsCredentials) -> Self {
        Self {
            credentials,
            last: RwLock::default(),
            region,
            service,
        }
    }

    /// With the keys of now.
    pub(crate) fn current(&self) -> Arc<Signer> {
        let keys = self.credentials.current();
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = &*last
            && Arc::ptr_eq(&signer.keys, &keys)
        {
            return Arc::clone(signer);
        }
        drop(last);
        let signer = Arc::new(Signer::new(self.service, self.region.clone(), keys));
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Arc::clone(&signer));
        signer
    }
}

impl Signer {
    fn new(service: &'static str, region: String, keys: Arc<AwsKeys>) -> Self {
        let session = keys.session.as_ref();
        let session = session.map(|token| token.expose_secret().to_owned());
        let secret = keys.secret.expose_secret();
        Self {
            identity: Credentials::new(&keys.id, secret, session, None, "environment").into(),
            keys,
            region,
            service,
        }
    }

    /// The session token of the keys, if they are temporary.
    pub(crate) fn session_token(&self) -> Option<&str> {
        self.keys.session.as_ref().map(ExposeSecret::expose_secret)
    }

    /// What a signature of this time says of whose it is.
    pub(crate) fn credential(&self, now: Timestamp) -> String {
        let (id, region, service) = (&self.keys.id, &self.region, self.service);
        let date = now.strftime("%Y%m%d");
        format!("{id}/{date}/{region}/{service}/aws4_request")
    }

    /// The signature of a text that is not a request.
    pub(crate) fn sign_text(&self, text: &str, now: Timestamp) -> String {
        let secret = self.keys.secret.expose_secret();
        let key = v4::generate_signing_key(secret, system_time(now), &self.region, self.service);
        v4::calculate_signature(key, text.as_bytes())
    }

    /// What the signature adds to a request.
    ///
    /// # Errors
    /// A request that can't be signed.
    pub(crate) fn sign(
        &self,
        request: SignableRequest<'_>,
        settings: SigningSettings,
        now: Timestamp,
    ) -> Result<SigningInstructions, BoxError> {
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(self.service)
            .time(system_time(now))
            .settings(settings)
            .build()?;
        let (instructions, _) = sign(request, &params.into())?.into_parts();
        Ok(instructions)
    }

    /// The URL with its signature as part of the query, with which anybody may `GET` it for this long.
    /// It is a secret.
    ///
    /// # Errors
    /// A URL that can't be signed.
    pub(crate) fn signed_url(
        &self,
        url: &str,
        body: SignableBody<'_>,
        (lifetime, now): (Duration, Timestamp),
        mut settings: SigningSettings,
    ) -> Result<String, BoxError> {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(lifetime);
        let mut request = Request::get(url).body(())?;
        let headers = std::iter::empty::<(&str, &str)>();
        let signable = SignableRequest::new(Method::GET.as_str(), url, headers, body)?;
        self.sign(signable, settings, now)?
            .apply_to_request_http1x(&mut request);
        Ok(request.uri().to_string())
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + time.as_duration().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str) -> AwsKeys {
        AwsKeys {
            id: id.to_owned(),
            secret: "secret".into(),
            session: None,
        }
    }

    #[test]
    fn replaced_keys_sign_from_the_next_request_on() {
        let credentials = AwsCredentials::new(keys("AKID1"));
        let signers = Signers::new("s3", "us-east-1".into(), credentials.clone());
        let now = "2026-11-26T01:02:03Z".parse().unwrap();
        let first = signers.current();
        assert!(Arc::ptr_eq(&first, &signers.current()));
        credentials.replace(keys("AKID2"));
        let second = signers.current().credential(now);
        assert_eq!(second, "AKID2/20261126/us-east-1/s3/aws4_request");
        // What has begun is signed with the same keys to its end.
        assert_eq!(first.credential(now), second.replace("AKID2", "AKID1"));
    }
}

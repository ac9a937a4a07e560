//! Signatures of requests, URLs and policies (AWS Signature Version 4), as S3 wants them.

use std::{sync::Arc, time::Duration};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::Full;
use jiff::Timestamp;

use super::ObjectError;
use crate::sigv4;

/// The service's name in signatures.
pub(super) const SERVICE: &str = "s3";
/// The algorithm's name.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The header and the form's field of a session token.
pub(super) const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Signs one request, or one form. It has no `Debug`, because it holds credentials.
pub(super) struct Signer(pub(super) Arc<sigv4::Signer>);

impl Signer {
    /// The session token of the credentials, if they are temporary.
    pub(super) fn session_token(&self) -> Option<&str> {
        self.0.session_token()
    }

    /// What a signature of this time says of whose it is.
    pub(super) fn credential(&self, now: Timestamp) -> String {
        self.0.credential(now)
    }

    /// The signature of a policy, which is base64.
    pub(super) fn sign_policy(&self, policy: &str, now: Timestamp) -> String {
        self.0.sign_text(policy, now)
    }

    /// Signs a request without a body.
    pub(super) fn sign(
        &self,
        request: &mut Request<Full<Bytes>>,
        now: Timestamp,
    ) -> Result<(), ObjectError> {
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let body = SignableBody::Bytes(&[]);
        let signable = SignableRequest::new(method, uri, headers, body);
        let signable = signable.map_err(|error| construction(&error))?;
        let signature = self.0.sign(signable, s3_settings(), now);
        let signature = signature.map_err(|error| construction(&error))?;
        signature.apply_to_request_http1x(request);
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        Ok(())
    }

    /// The URL with which anybody may read the object at `url` for this long.
    pub(super) fn signed_url(
        &self,
        url: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, ObjectError> {
        let (body, times) = (SignableBody::UnsignedPayload, (lifetime, now));
        let signed = self.0.signed_url(url, body, times, s3_settings());
        signed.map_err(|error| construction(&error))
    }
}

/// S3 takes paths as they are, and wants the hash of the body as a header.
fn s3_settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

/// The time as signatures have it.
pub(super) fn amz_date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

pub(super) fn construction(error: &impl ToString) -> ObjectError {
    ObjectError::Construction(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        config::{AwsCredentials, AwsKeys},
        sigv4::Signers,
    };

    /// The keys of AWS's examples.
    pub(crate) fn example(session: Option<&str>) -> Signer {
        let credentials = AwsCredentials::new(AwsKeys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session: session.map(Into::into),
        });
        Signer(Signers::new(SERVICE, "us-east-1".into(), credentials).current())
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html>
    #[test]
    fn the_signature_of_a_policy_is_that_of_awss_example() {
        let policy = include_str!("post-example.b64").trim_ascii();
        let now = "2015-12-29T00:00:00Z".parse().unwrap();
        let signer = example(None);
        assert_eq!(
            signer.sign_policy(policy, now),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
        assert_eq!(
            signer.credential(now),
            "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"
        );
        assert_eq!(amz_date(now), "20151229T000000Z");
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
    #[test]
    fn a_signed_url_is_that_of_awss_example() {
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        let signed = example(None).signed_url(url, Duration::from_hours(24), now);
        let signed = signed.unwrap();
        assert!(
            signed.ends_with(
                "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            ),
            "{signed}"
        );
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    #[test]
    fn a_signed_request_is_that_of_awss_example() {
        let mut request = Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("range", "bytes=0-9")
            .body(Full::default())
            .unwrap();
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        example(None).sign(&mut request, now).unwrap();
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(
            authorization.ends_with(
                "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            "{authorization}"
        );
    }

    #[test]
    fn a_signed_request_does_not_print_its_secrets() {
        let mut request = Request::get("https://b.s3.us-east-1.amazonaws.com/k")
            .body(Full::default())
            .unwrap();
        let now = "2026-11-26T01:02:03Z".parse().unwrap();
        example(Some("hunter2")).sign(&mut request, now).unwrap();
        assert_eq!(request.headers()[SECURITY_TOKEN], "hunter2");
        let text = format!("{request:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("Signature="),
            "{text}"
        );
    }
}

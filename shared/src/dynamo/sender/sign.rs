//! Signatures of requests.

use aws_sdk_dynamodb::error::BoxError;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningInstructions, SigningSettings,
};
use bytes::Bytes;
use http::{Method, Request, Uri, header::AUTHORIZATION};
use http_body_util::Full;
use jiff::Timestamp;

use super::operation::{ErasedFailure, Serialized};
use crate::{config::AwsCredentials, dynamo::failure::Failure, sigv4::Signers};

/// The service's name in signatures.
const SERVICE: &str = "dynamodb";

/// Signs requests. It has no `Debug`, because it holds credentials.
pub(super) struct Signer(Signers);

impl Signer {
    /// Signs for `region` with these credentials.
    pub(super) fn new(region: String, credentials: AwsCredentials) -> Self {
        Self(Signers::new(SERVICE, region, credentials))
    }

    /// The request to `uri`, signed at `now`.
    ///
    /// # Errors
    /// A request that can't be signed.
    pub(super) fn signed(
        &self,
        uri: &Uri,
        serialized: &Serialized,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, ErasedFailure> {
        let mut request = Request::new(Full::new(serialized.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = serialized.headers.clone();
        let signature = self
            .instructions(serialized, uri, now)
            .map_err(|error| Failure::construction(&error))?;
        signature.apply_to_request_http1x(&mut request);
        if let Some(authorization) = request.headers_mut().get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
        Ok(request)
    }

    /// What the signature adds to a request. The settings are those of the SDK's operations.
    fn instructions(
        &self,
        serialized: &Serialized,
        uri: &Uri,
        now: Timestamp,
    ) -> Result<SigningInstructions, BoxError> {
        let headers = serialized.headers.iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let request = SignableRequest::new(
            Method::POST.as_str(),
            uri.to_string(),
            headers,
            SignableBody::Bytes(&serialized.body),
        )?;
        let signer = self.0.current();
        signer.sign(request, SigningSettings::default(), now)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemInput};
    use aws_smithy_runtime_api::client::interceptors::context::Input;

    use super::*;
    use crate::{config::AwsKeys, dynamo::sender::operation::Operation};

    fn serialized() -> Serialized {
        let input = GetItemInput::builder().table_name("weapp").build().unwrap();
        match GetItem::codec().serialize(Input::erase(input)) {
            Ok(serialized) => serialized,
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn signed(session: Option<&str>, now: &str) -> Request<Full<Bytes>> {
        let credentials = AwsCredentials::new(AwsKeys {
            id: "AKID".into(),
            secret: "secret".into(),
            session: session.map(Into::into),
        });
        let uri = Uri::from_static("https://dynamodb.us-east-1.amazonaws.com/");
        Signer::new("us-east-1".into(), credentials)
            .signed(&uri, &serialized(), now.parse().unwrap())
            .unwrap()
    }

    #[test]
    fn a_request_is_signed_with_its_headers_and_its_session() {
        let request = signed(Some("token"), "2026-11-26T01:02:03Z");
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        let authorization = header("authorization");
        let expected = "AWS4-HMAC-SHA256 Credential=AKID/20261126/us-east-1/dynamodb/aws4_request, \
            SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
            Signature=";
        assert!(authorization.starts_with(expected), "{authorization}");
        assert_eq!(header("x-amz-date"), "20261126T010203Z");
        assert_eq!(header("x-amz-security-token"), "token");
        let without = signed(None, "2026-11-26T01:02:03Z");
        assert!(!without.headers().contains_key("x-amz-security-token"));
    }

    #[test]
    fn another_time_has_another_signature() {
        let [first, again, later] = ["02:03", "02:03", "02:04"].map(|time| {
            let request = signed(None, &format!("2026-11-26T01:{time}Z"));
            request.headers()["authorization"].clone()
        });
        assert_eq!(first, again);
        assert_ne!(first, later);
    }

    #[test]
    fn a_signed_request_does_not_print_its_secrets() {
        let request = signed(Some("hunter2"), "2026-11-26T01:02:03Z");
        let text = format!("{request:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("Signature="),
            "{text}"
        );
    }
}

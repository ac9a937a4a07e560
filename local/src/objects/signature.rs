//! Verifies signatures (AWS Signature Version 4) of forms, requests and URLs
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>).

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::S3Error;

/// The services' names in signatures.
const S3: &str = "s3";
const SQS: &str = "sqs";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The only credentials that the store knows.
pub struct StoreKeys {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The session token of temporary credentials.
    pub session: Option<SecretString>,
    /// The region that signatures are for.
    pub region: String,
}

/// What a signature says of itself.
struct Claim<'a> {
    service: &'static str,
    credential: &'a str,
    date: &'a str,
    token: Option<&'a str>,
    signature: &'a str,
}

impl StoreKeys {
    /// Verifies a form's signature, which is that of its policy.
    pub(super) fn verify_form(&self, fields: &BTreeMap<String, String>) -> Result<(), S3Error> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let needed = |name: &str| field(name).ok_or(S3Error::ACCESS_DENIED);
        let policy = needed("policy")?;
        if needed("x-amz-algorithm")? != ALGORITHM {
            return Err(S3Error::ACCESS_DENIED);
        }
        let claim = Claim {
            service: S3,
            credential: needed("x-amz-credential")?,
            date: needed("x-amz-date")?,
            token: field("x-amz-security-token"),
            signature: needed("x-amz-signature")?,
        };
        self.check(&claim, policy.as_bytes())
    }

    /// Verifies a request's signature, in its headers or in its URL.
    pub(super) fn verify(&self, head: &Parts, now: Timestamp) -> Result<(), S3Error> {
        if head.headers.contains_key(AUTHORIZATION) {
            let hash = text(&head.headers, "x-amz-content-sha256");
            self.verify_headers(head, now, S3, hash.ok_or(S3Error::ACCESS_DENIED)?)
        } else {
            self.verify_url(head, now)
        }
    }

    /// Verifies the signature of a call of SQS's, which covers its body.
    pub(crate) fn verify_sqs(&self, head: &Parts, body: &[u8], now: Timestamp) -> bool {
        let hash = hex::encode(Sha256::digest(body));
        self.verify_headers(head, now, SQS, &hash).is_ok()
    }

    fn verify_headers(
        &self,
        head: &Parts,
        now: Timestamp,
        service: &'static str,
        hash: &str,
    ) -> Result<(), S3Error> {
        let header = |name: &str| text(&head.headers, name);
        let authorization = header("authorization").unwrap_or_default();
        let members = authorization.strip_prefix(ALGORITHM);
        let members = members.ok_or(S3Error::ACCESS_DENIED)?.trim().split(',');
        let members: BTreeMap<_, _> = members.filter_map(|it| it.trim().split_once('=')).collect();
        let member = |name: &str| members.get(name).copied().ok_or(S3Error::ACCESS_DENIED);
        let date = header("x-amz-date").ok_or(S3Error::ACCESS_DENIED)?;
        let signed_at: Timestamp = date.parse().map_err(|_| S3Error::ACCESS_DENIED)?;
        if now.duration_since(signed_at).abs() > SKEW {
            return Err(S3Error::SKEWED);
        }
        let query = head.uri.query().unwrap_or_default();
        let signed = canonical(head, query, member("SignedHeaders")?, hash);
        let claim = Claim {
            service,
            credential: member("Credential")?,
            date,
            token: header("x-amz-security-token"),
            signature: member("Signature")?,
        };
        self.check_request(&claim, &signed)
    }

    fn verify_url(&self, head: &Parts, now: Timestamp) -> Result<(), S3Error> {
        let query = head.uri.query().unwrap_or_default();
        let members: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        let member = |name: &str| members.get(name).map(|value| &**value);
        let needed = |name: &str| member(name).ok_or(S3Error::ACCESS_DENIED);
        if needed("X-Amz-Algorithm")? != ALGORITHM {
            return Err(S3Error::ACCESS_DENIED);
        }
        let date = needed("X-Amz-Date")?;
        let signed_at: Timestamp = date.parse().map_err(|_| S3Error::ACCESS_DENIED)?;
        let lifetime = needed("X-Amz-Expires")?.parse::<u32>();
        let lifetime = lifetime.map_err(|_| S3Error::ACCESS_DENIED)?;
        let age = now.duration_since(signed_at);
        if age >= SignedDuration::from_secs(lifetime.into()) || age < -SKEW {
            return Err(S3Error::EXPIRED);
        }
        let unsigned: Vec<_> = query
            .split('&')
            .filter(|member| !member.starts_with("X-Amz-Signature="))
            .collect();
        let signed_headers = needed("X-Amz-SignedHeaders")?;
        let signed = canonical(
            head,
            &unsigned.join("&"),
            signed_headers,
            "UNSIGNED-PAYLOAD",
        );
        let claim = Claim {
            service: S3,
            credential: needed("X-Amz-Credential")?,
            date,
            token: member("X-Amz-Security-Token"),
            signature: needed("X-Amz-Signature")?,
        };
        self.check_request(&claim, &signed)
    }

    fn check_request(&self, claim: &Claim<'_>, canonical: &str) -> Result<(), S3Error> {
        let scope = claim
            .credential
            .split_once('/')
            .map_or("", |(_, scope)| scope);
        let hash = hex::encode(Sha256::digest(canonical));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", claim.date);
        self.check(claim, text.as_bytes())
    }

    fn check(&self, claim: &Claim<'_>, signed: &[u8]) -> Result<(), S3Error> {
        let scope = claim.credential.strip_prefix(&self.id);
        let scope = scope.and_then(|scope| scope.strip_prefix('/'));
        let scope: Vec<_> = scope.ok_or(S3Error::INVALID_KEY_ID)?.split('/').collect();
        let [date, region, service, "aws4_request"] = scope[..] else {
            return Err(S3Error::ACCESS_DENIED);
        };
        if service != claim.service {
            return Err(S3Error::ACCESS_DENIED);
        }
        if region != self.region || !claim.date.starts_with(date) || date.len() != 8 {
            return Err(S3Error::ACCESS_DENIED);
        }
        let token = self.session.as_ref().map(ExposeSecret::expose_secret);
        if claim.token != token {
            return Err(S3Error::INVALID_TOKEN);
        }
        let key = format!("AWS4{}", self.secret.expose_secret());
        let key = [date, region, service, "aws4_request"]
            .iter()
            .fold(key.into_bytes(), |key, part| {
                hmac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
            });
        let signature = hex::decode(claim.signature).map_err(|_| S3Error::SIGNATURE)?;
        let verified = hmac(&key, signed).verify_slice(&signature);
        verified.map_err(|_| S3Error::SIGNATURE)
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.expect("a key").chain_update(message)
}

/// The canonical request.
fn canonical(head: &Parts, query: &str, signed_headers: &str, hash: &str) -> String {
    let mut members: Vec<_> = query.split('&').filter(|it| !it.is_empty()).collect();
    members.sort_unstable();
    let headers = signed_headers.split(';');
    let headers = headers.map(|name| {
        let value = text(&head.headers, name).unwrap_or_default();
        format!("{name}:{}\n", value.trim())
    });
    let headers: String = headers.collect();
    let (method, path) = (&head.method, head.uri.path());
    let query = members.join("&");
    format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{hash}")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn keys() -> StoreKeys {
        StoreKeys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session: None,
            region: "us-east-1".into(),
        }
    }

    /// AWS's example of a URL that is signed for a day.
    fn signed_url(signature: &str) -> Parts {
        let uri = format!(
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        );
        let request = Request::get(uri).header("host", "examplebucket.s3.amazonaws.com");
        request.body(()).unwrap().into_parts().0
    }

    const SIGNATURE: &str = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

    #[test]
    fn a_url_is_verified_until_it_expires() {
        let verify = |signature: &str, now: &str| {
            keys().verify(&signed_url(signature), now.parse().unwrap())
        };
        assert_eq!(verify(SIGNATURE, "2013-05-24T23:59:59Z"), Ok(()));
        assert_eq!(
            verify(SIGNATURE, "2013-05-25T00:00:00Z"),
            Err(S3Error::EXPIRED)
        );
        let other = SIGNATURE.replace("aeee", "beee");
        assert_eq!(
            verify(&other, "2013-05-24T01:00:00Z"),
            Err(S3Error::SIGNATURE)
        );
    }

    #[test]
    fn other_credentials_are_refused() {
        let now = "2013-05-24T01:00:00Z".parse().unwrap();
        let refused = |keys: StoreKeys| keys.verify(&signed_url(SIGNATURE), now).unwrap_err();
        let id = "AKIA2".to_owned();
        assert_eq!(refused(StoreKeys { id, ..keys() }), S3Error::INVALID_KEY_ID);
        let secret = "x".into();
        assert_eq!(refused(StoreKeys { secret, ..keys() }), S3Error::SIGNATURE);
        let session = Some("x".into());
        assert_eq!(
            refused(StoreKeys { session, ..keys() }),
            S3Error::INVALID_TOKEN
        );
        let region = "eu-west-1".to_owned();
        assert_eq!(
            refused(StoreKeys { region, ..keys() }),
            S3Error::ACCESS_DENIED
        );
    }

    #[test]
    fn a_request_without_a_signature_is_refused() {
        let request = Request::get("/b/k").body(()).unwrap();
        let (head, ()) = request.into_parts();
        let now = "2013-05-24T01:00:00Z".parse().unwrap();
        assert_eq!(keys().verify(&head, now), Err(S3Error::ACCESS_DENIED));
    }
}

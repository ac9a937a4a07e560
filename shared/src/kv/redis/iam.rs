//! Passwords of a user of ElastiCache that IAM authenticates: a signed URL without its scheme, made here
//! and good for connecting for 15 minutes
//! (<https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html>).
//!
//! Each connection gets one of its own, so none is ever too old; the signature takes microseconds. After
//! twelve hours ElastiCache closes a connection. What is sent then goes over the next one, as after any
//! other end of a connection.

use std::time::Duration;

use aws_sigv4::http_request::{SignableBody, SigningSettings};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{config::IamSettings, kv::KvError, sigv4::Signers, telemetry::describe};

/// The service's name in signatures.
const SERVICE: &str = "elasticache";
/// How long a password is good for: the longest that ElastiCache accepts.
const LIFETIME: Duration = Duration::from_mins(15);

/// It has no `Debug`, because it holds credentials.
pub(super) struct IamUser {
    name: String,
    /// What is signed: permission to connect.
    url: String,
    signers: Signers,
}

impl IamUser {
    pub(super) fn new(settings: &IamSettings) -> Self {
        let IamSettings { user, cache, .. } = settings;
        let (region, credentials) = (settings.region.clone(), settings.credentials.clone());
        Self {
            name: user.clone(),
            // The scheme is not part of the signature.
            url: format!("http://{cache}/?Action=connect&User={user}&ResourceType=ServerlessCache"),
            signers: Signers::new(SERVICE, region, credentials),
        }
    }

    /// The id of the user, which is its name too.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A password for a connection that is made at `now`.
    ///
    /// # Errors
    /// Names that can't be signed.
    pub(super) fn password(&self, now: Timestamp) -> Result<SecretString, KvError> {
        let (body, times) = (SignableBody::Bytes(&[]), (LIFETIME, now));
        let settings = SigningSettings::default();
        let signer = self.signers.current();
        let url = signer.signed_url(&self.url, body, times, settings);
        let url = url.map_err(|error| KvError::Unavailable(describe(&*error)))?;
        let (_, password) = url.split_once("://").unwrap_or(("", &url));
        Ok(password.into())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::{AwsCredentials, AwsKeys};

    fn password(user: &str, session: Option<&str>, now: &str) -> String {
        let user = IamUser::new(&IamSettings {
            user: user.to_owned(),
            cache: "my-cache".to_owned(),
            region: "eu-west-1".to_owned(),
            credentials: AwsCredentials::new(AwsKeys {
                id: "accessKey".to_owned(),
                secret: "secretKey".into(),
                session: session.map(Into::into),
            }),
        });
        let password = user.password(now.parse().unwrap()).unwrap();
        password.expose_secret().to_owned()
    }

    /// As `SigV4QueryAuth` of botocore signs it.
    #[test]
    fn a_password_is_a_signed_url_without_its_scheme() {
        let signed = password("user123", None, "2024-08-02T12:11:50Z");
        assert_eq!(
            signed,
            "my-cache/?Action=connect&User=user123&ResourceType=ServerlessCache\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=accessKey%2F20240802%2Feu-west-1%2Felasticache%2Faws4_request\
             &X-Amz-Date=20240802T121150Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=5dda5db919b1337db6596b2a608924bc10197fb39289b933b60bdb114d5a70dc"
        );
    }

    #[test]
    fn a_later_password_is_another_one() {
        let now = ["2024-08-02T12:11:50Z", "2024-08-02T12:11:51Z"];
        let [first, second] = now.map(|now| password("user123", Some("session"), now));
        assert_ne!(first, second);
        assert!(first.contains("&X-Amz-Security-Token=session"), "{first}");
    }
}

//! The connection to DynamoDB: one client, one table, deadlines on every call.

mod deadline;
mod measure;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{config::DynamoSettings, telemetry};

/// One row.
pub type Item = HashMap<String, AttributeValue>;

/// What metrics call it.
const UPSTREAM: &str = "dynamodb";

const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Attempts, and the pauses between them, in a request that has so much time left.
const OPERATION: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;
/// The most that the pause before a second attempt can be; before a third twice that. The SDK's own
/// second is a third of an operation's time, and DynamoDB's throttling passes within milliseconds
/// as partitions are adapted.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Why DynamoDB did not do what was asked.
#[derive(Debug, Error)]
pub enum DynamoError {
    /// Out of reach, throttled, or failing: worth another try later.
    #[error("DynamoDB is not available: {0}")]
    Unavailable(String),
    /// A transaction holds the row at this moment: worth another try at once.
    #[error("DynamoDB: the row is part of a running transaction")]
    Conflict,
    /// A request that DynamoDB refuses for good, or a row that can't be read: a bug or a wrong
    /// table.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
}

impl DynamoError {
    /// A row that does not look like what is written there.
    pub(crate) fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::Refused(format!("unreadable row: {error}"))
    }
}

impl<E> From<SdkError<E>> for DynamoError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        const CONFLICTS: [&str; 2] = [
            "TransactionConflictException",
            "TransactionInProgressException",
        ];
        const TRANSIENT: [&str; 7] = [
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
            "InternalServerError",
            "ServiceUnavailable",
            "LimitExceededException",
            "TransactionCanceledException",
        ];
        let text = telemetry::describe(&error);
        let failed =
            |errcode: &str| telemetry::metrics::upstream_error(UPSTREAM, errcode.to_owned());
        match &error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().unwrap_or_default();
                if CONFLICTS.contains(&code) {
                    return Self::Conflict;
                }
                failed(code);
                if TRANSIENT.contains(&code) || context.raw().status().is_server_error() {
                    Self::Unavailable(code.to_owned())
                } else {
                    Self::Refused(text)
                }
            }
            SdkError::ConstructionFailure(_) => Self::Refused(text),
            SdkError::TimeoutError(_) => {
                failed("timeout");
                Self::Unavailable(text)
            }
            _ => {
                failed("connection");
                Self::Unavailable(text)
            }
        }
    }
}

/// The table. Cheap to clone; connects at the first call.
#[derive(Clone)]
pub struct Dynamo {
    /// The SDK's client.
    pub client: Client,
    /// The table's name.
    pub table: String,
}

impl Dynamo {
    /// A client for `settings`, built from what Lambda sets: looking through profiles and metadata
    /// services would cost milliseconds of each cold start.
    #[must_use]
    pub fn new(settings: DynamoSettings) -> Self {
        let (id, secret, session) = settings.credentials;
        let session = session.map(|token| token.expose_secret().to_owned());
        let credentials =
            Credentials::new(id, secret.expose_secret(), session, None, "environment");
        let plain_http = settings
            .endpoint
            .as_deref()
            .is_some_and(|endpoint| endpoint.starts_with("http://"));
        // Amazon's own authority signs the endpoints of its regions; those in China are run by
        // others.
        let any_authority = settings.region.starts_with("cn-") || settings.endpoint.is_some();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region))
            .credentials_provider(credentials)
            .http_client(tls::http_client(plain_http, any_authority))
            .retry_config(retries())
            .timeout_config(timeouts)
            .interceptor(deadline::InheritDeadline { limit: OPERATION })
            .interceptor(measure::Measure)
            // Answers are small: the attempt's time-out is the guard.
            .stalled_stream_protection(
                aws_sdk_dynamodb::config::StalledStreamProtectionConfig::disabled(),
            );
        config.set_endpoint_url(settings.endpoint);
        Self {
            client: Client::from_conf(config.build()),
            table: settings.table,
        }
    }

    /// Reads one row that is never there: opens the connection, and shows whether table and
    /// permissions are right.
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be read.
    pub async fn probe(&self) -> Result<(), DynamoError> {
        self.get("PROBE", "PROBE").await.map(drop)
    }

    /// The row under `pk` and `sk`, as of now (consistent read).
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be read.
    pub async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, DynamoError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true);
        let got = get.set_key(Some(key(pk, sk))).send().await?;
        Ok(got.item)
    }
}

/// The SDK's standard mode: full jitter (a pause is anywhere between nothing and its most), and a
/// quota of 500 tokens that a retry takes 5 of, after a time-out 10, so that a table that fails is
/// not asked three times as much.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE)
}

/// The primary key of a row.
#[must_use]
pub fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

/// A string attribute.
#[must_use]
pub fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
#[must_use]
pub fn number(number: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// `row` as attributes under its key. What is `None` is left out.
///
/// # Errors
/// [`DynamoError::Refused`] when the type can't be a row.
pub fn to_item<T: Serialize>(pk: &str, sk: &str, row: &T) -> Result<Item, DynamoError> {
    let mut item: Item = serde_dynamo::to_item(row).map_err(DynamoError::unreadable)?;
    item.retain(|_, value| !value.is_null());
    item.extend(key(pk, sk));
    Ok(item)
}

/// The attributes of a row as a type.
///
/// # Errors
/// [`DynamoError::Refused`] when they are not what is written there.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, DynamoError> {
    serde_dynamo::from_item(item).map_err(DynamoError::unreadable)
}

/// HTTPS for the SDK, on the one TLS stack of all clients.
mod tls {
    use aws_sdk_dynamodb::config::SharedHttpClient;
    use aws_smithy_http_client::{
        Builder,
        tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
    };
    use base64::{Engine, engine::general_purpose::STANDARD};

    /// Plain HTTP for a local endpoint, so that no certificate is parsed there.
    pub(super) fn http_client(plain_http: bool, any_authority: bool) -> SharedHttpClient {
        if plain_http {
            return Builder::new().build_http();
        }
        let context = TlsContext::builder()
            .with_trust_store(roots(any_authority))
            .build();
        #[allow(
            clippy::expect_used,
            reason = "start-up, and fails only without a trust store"
        )]
        let context = context.expect("a TLS context");
        Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build_https()
    }

    /// Amazon Trust Services' roots (and Starfield's, which cross-sign them): all that AWS's own
    /// endpoints use. Parsing five certificates instead of 150 is milliseconds of a cold start.
    fn roots(any_authority: bool) -> TrustStore {
        let is_amazon = |der: &[u8]| {
            let names = |name: &str| memchr::memmem::find(der, name.as_bytes()).is_some();
            names("Amazon Root CA") || names("Starfield Services Root")
        };
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter(|der| any_authority || is_amazon(der.as_ref()));
        roots.fold(TrustStore::empty(), |store, der| {
            let body = STANDARD.encode(der.as_ref());
            store.with_pem_certificate(
                format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
                    .as_bytes(),
            )
        })
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn the_https_client_builds() {
            let _ = (
                super::http_client(false, false),
                super::http_client(false, true),
            );
        }
    }
}

//! The connection to DynamoDB: one client, one table, deadlines on every call.

mod condition;
mod deadline;
mod error;
mod item;
mod measure;
mod resign;
mod tls;
mod transaction;
mod write;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    operation::query::builders::QueryFluentBuilder,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{config::DynamoSettings, random::Random};

pub use condition::Condition;
pub use error::DynamoError;
pub use item::{Item, from_item, key, number, string, to_item};
pub use transaction::TransactionOutcome;
pub use write::{Update, Write, WriteOutcome};

/// Its name in metrics.
const UPSTREAM: &str = "dynamodb";

const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Attempts, and the pauses between them, in a request that has this much time left.
const OPERATION: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;
/// The most that the pause before a second attempt can be; before a third twice that. The SDK's own
/// second is a third of an operation's time, and DynamoDB's throttling passes within milliseconds
/// as partitions are adapted.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The table. Cheap to clone; connects at the first call.
#[derive(Clone)]
pub struct Dynamo {
    client: Client,
    table: String,
    random: Random,
}

impl Dynamo {
    /// The table of `settings`; `random` decides the pauses between attempts.
    #[must_use]
    pub fn new(settings: DynamoSettings, random: Random) -> Self {
        let table = settings.table.clone();
        Self {
            client: Client::from_conf(config(settings)),
            table,
            random,
        }
    }

    /// The SDK's client, for what this type does not do (creating the table).
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Reads a row that never exists: opens the connection, and shows whether table and
    /// permissions are right.
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be read.
    pub async fn probe(&self) -> Result<(), DynamoError> {
        self.get("PROBE", "PROBE").await.map(drop)
    }

    /// Writes a row that nothing reads, and that expires an hour after `now` (seconds since the
    /// epoch): shows whether the table takes writes.
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be written.
    pub async fn probe_write(&self, now: i64) -> Result<(), DynamoError> {
        let whether_or_not = Condition::new("attribute_exists(pk) OR attribute_not_exists(pk)");
        let update = Update::new(key("PROBE", "WRITE"), "SET #ttl = :ttl", whether_or_not)
            .name("#ttl", "ttl")
            .value(":ttl", number(now + 3600));
        self.update(update).await.map(drop)
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

    /// A query of the table as of now (consistent read).
    pub(crate) fn query(&self) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
    }
}

/// Built from what Lambda sets: looking through profiles and metadata services would cost
/// milliseconds of each cold start.
fn config(settings: DynamoSettings) -> Config {
    let is_plain_http = settings
        .endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    // Amazon's own authority signs the endpoints of its regions; those in China are run by others.
    let any_authority = settings.region.starts_with("cn-") || settings.endpoint.is_some();
    let (id, secret, session) = settings.credentials;
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region))
        .credentials_provider(credentials(id, &secret, session.as_ref()))
        .http_client(tls::http_client(is_plain_http, any_authority))
        .retry_config(retries())
        .retry_classifier(resign::SignAgain)
        .timeout_config(timeouts())
        .interceptor(deadline::InheritDeadline { limit: OPERATION })
        .interceptor(measure::Measure)
        // Answers are small: the attempt's time-out is the guard.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(settings.endpoint);
    config.build()
}

fn credentials(id: String, secret: &SecretString, session: Option<&SecretString>) -> Credentials {
    let session = session.map(|token| token.expose_secret().to_owned());
    Credentials::new(id, secret.expose_secret(), session, None, "environment")
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
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

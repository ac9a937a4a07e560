//! An embedded DynamoDB (dynoxide), served over HTTP so that it is used as AWS's is.

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    error::DisplayErrorContext,
    operation::create_table::{CreateTableError, builders::CreateTableFluentBuilder},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
        TimeToLiveSpecification,
    },
};
use secrecy::ExposeSecret;
use shared::config::DynamoSettings;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, interval_at},
};

use crate::{StartError, data_dir::DataDir, listen::listen};

/// How often the rows that have expired are deleted.
const SWEEP: Duration = Duration::from_hours(1);

/// What the index of users holds besides its keys, as in template.yaml.
const LISTED: [&str; 10] = [
    "id",
    "nickname",
    "avatarUrl",
    "phone",
    "role",
    "status",
    "createdAt",
    "updatedAt",
    "version",
    "identities",
];

/// A running DynamoDB. It stops when this is dropped.
pub struct Database {
    /// Its URL, e.g. `http://127.0.0.1:34567`.
    pub endpoint: String,
    /// The database itself, past HTTP.
    pub inner: dynoxide::Database,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
    /// What watches the folder, and what deletes expired rows.
    background: Vec<JoinHandle<()>>,
    /// Locked as long as the server runs.
    folder: Option<Arc<DataDir>>,
}

impl Database {
    /// Serves the database in `folder`, or an empty one in memory, on this port of the loopback
    /// address (0: any free port). In a folder, rows that have expired are deleted within an hour.
    ///
    /// # Errors
    /// [`StartError`] when the folder can't be used or the port is unavailable.
    pub async fn start(folder: Option<&Path>, port: u16) -> Result<Self, StartError> {
        Self::sweeping(folder, port, SWEEP).await
    }

    async fn sweeping(
        folder: Option<&Path>,
        port: u16,
        pause: Duration,
    ) -> Result<Self, StartError> {
        let folder = folder.map(DataDir::lock).transpose()?.map(Arc::new);
        let database = open(folder.as_deref())?;
        let wanted = (Ipv4Addr::LOCALHOST, port).into();
        let (listener, address) = listen("DYNAMODB_PORT", wanted).await?;
        let endpoint = format!("http://{address}");
        if let Some(folder) = &folder {
            folder.publish(&endpoint)?;
        }
        let mut background = Vec::new();
        if let Some(folder) = folder.clone() {
            background.push(tokio::spawn(async move { folder.deleted().await }));
            background.push(tokio::spawn(sweep(database.clone(), pause)));
        }
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            stopped,
        ));
        Ok(Self {
            endpoint,
            inner: database,
            stop,
            server,
            background,
            folder,
        })
    }

    /// The folder that the data is in, unless that is memory.
    #[must_use]
    pub fn folder(&self) -> Option<Arc<DataDir>> {
        self.folder.clone()
    }

    /// Stops it, after the requests in flight.
    pub async fn stop(self) {
        for task in self.background {
            task.abort();
        }
        drop(self.stop);
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the embedded DynamoDB failed"),
            Err(error) => tracing::warn!(%error, "the embedded DynamoDB failed"),
        }
    }
}

/// Deletes the rows that have expired, after each `pause`: the database does so only when told. Never
/// returns.
async fn sweep(database: dynoxide::Database, pause: Duration) {
    let mut ticks = interval_at(Instant::now() + pause, pause);
    loop {
        ticks.tick().await;
        let database = database.clone();
        // It blocks, page by page.
        match spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(deleted)) => tracing::debug!(deleted, "expired rows deleted"),
            Ok(Err(error)) => tracing::warn!(%error, "expired rows can't be deleted"),
            Err(error) => tracing::warn!(%error, "expired rows can't be deleted"),
        }
    }
}

fn open(folder: Option<&DataDir>) -> Result<dynoxide::Database, StartError> {
    match folder {
        None => dynoxide::Database::memory().map_err(StartError::database),
        Some(folder) => {
            let file = folder.file();
            dynoxide::Database::new(&file.to_string_lossy())
                .map_err(|error| StartError::Database(format!("{}: {error}", file.display())))
        }
    }
}

/// The SDK's client of the DynamoDB at `url` (plain HTTP), with credentials that open nothing: for
/// what functions don't do, such as creating a table.
#[must_use]
pub fn database_client(url: &str) -> Client {
    let nobody = Credentials::new("local", "local", None, None, "nobody's");
    client(url, "us-east-1".to_owned(), nobody)
}

/// The same with region and credentials of these settings, for a DynamoDB at `url` that looks at them.
#[must_use]
pub fn database_client_with(url: &str, settings: &DynamoSettings) -> Client {
    let keys = settings.credentials.current();
    let session = keys.session.as_ref();
    let session = session.map(|token| token.expose_secret().to_owned());
    let secret = keys.secret.expose_secret();
    let credentials = Credentials::new(&keys.id, secret, session, None, "settings");
    client(url, settings.region.clone(), credentials)
}

fn client(url: &str, region: String, credentials: Credentials) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(credentials)
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// Creates `table` as template.yaml describes it, unless it exists.
///
/// # Errors
/// [`StartError::Database`].
pub async fn create_table(client: &Client, table: &str) -> Result<(), StartError> {
    let creation = table_definition(client, table).send().await;
    if let Err(error) = creation
        && !matches!(
            error.as_service_error(),
            Some(CreateTableError::ResourceInUseException(_))
        )
    {
        return Err(StartError::database(DisplayErrorContext(error)));
    }
    enable_ttl(client, table).await
}

/// Enables the stream of `table` as template.yaml describes it, unless it is enabled.
///
/// # Errors
/// [`StartError::Database`].
pub async fn enable_stream(client: &Client, table: &str) -> Result<(), StartError> {
    let described = client.describe_table().table_name(table).send().await;
    let described = described.map_err(|error| StartError::database(DisplayErrorContext(error)))?;
    let stream = described
        .table()
        .and_then(|table| table.stream_specification());
    if stream.is_some_and(StreamSpecification::stream_enabled) {
        return Ok(());
    }
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build();
    let update = client.update_table().table_name(table);
    let update = update.set_stream_specification(stream.ok());
    let updated = update.send().await;
    updated.map_err(|error| StartError::database(DisplayErrorContext(error)))?;
    Ok(())
}

fn table_definition(client: &Client, table: &str) -> CreateTableFluentBuilder {
    let string = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name("gsi1")
        .set_key_schema(Some(keys("gsi1pk", "gsi1sk")))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(LISTED.map(str::to_owned).to_vec()))
                .build(),
        )
        .build();
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(
            ["pk", "sk", "gsi1pk", "gsi1sk"]
                .into_iter()
                .flat_map(string)
                .collect(),
        ))
        .set_key_schema(Some(keys("pk", "sk")))
        .set_global_secondary_indexes(index.ok().map(|index| vec![index]))
}

fn keys(hash: &str, range: &str) -> Vec<KeySchemaElement> {
    let key = |(name, kind): (&str, KeyType)| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
    };
    [(hash, KeyType::Hash), (range, KeyType::Range)]
        .into_iter()
        .flat_map(key)
        .collect()
}

async fn enable_ttl(client: &Client, table: &str) -> Result<(), StartError> {
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("ttl")
        .build();
    let update = client
        .update_time_to_live()
        .table_name(table)
        .set_time_to_live_specification(ttl.ok());
    match update.send().await {
        Ok(_) => Ok(()),
        // Already enabled by an earlier start.
        Err(error)
            if error
                .as_service_error()
                .and_then(|error| error.meta().code())
                == Some("ValidationException") =>
        {
            Ok(())
        }
        Err(error) => Err(StartError::database(DisplayErrorContext(error))),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn rows_in_a_folder_are_deleted_once_they_have_expired() {
        let folder = tempfile::tempdir().unwrap();
        let pause = Duration::from_millis(20);
        let database = Database::sweeping(Some(folder.path()), 0, pause);
        let database = database.await.unwrap();
        let client = database_client(&database.endpoint);
        create_table(&client, "weapp").await.unwrap();
        for (key, ttl) in [("expired", "1600000000"), ("current", "4000000000")] {
            let put = client
                .put_item()
                .table_name("weapp")
                .item("pk", AttributeValue::S(key.to_owned()))
                .item("sk", AttributeValue::S("-".to_owned()))
                .item("ttl", AttributeValue::N(ttl.to_owned()));
            put.send().await.unwrap();
        }
        let one_is_left = async {
            loop {
                let rows = client.scan().table_name("weapp").send().await.unwrap();
                let rows = rows.items();
                if let [row] = rows {
                    break row["pk"].as_s().unwrap().clone();
                }
                sleep(pause).await;
            }
        };
        let left = timeout(Duration::from_secs(20), one_is_left).await;
        assert_eq!(left.unwrap(), "current");
        drop(client);
        database.stop().await;
    }
}

//! DynamoDB in this process (dynoxide), served over HTTP so that the real SDK talks to it.

use std::path::Path;

use aws_sdk_dynamodb::{
    Client,
    error::DisplayErrorContext,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use shared::dynamo::Dynamo;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::StartError;

/// A running DynamoDB. Stops when dropped.
pub struct Database {
    /// Where it listens, e.g. `http://127.0.0.1:34567`.
    pub endpoint: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), String>>,
}

impl Database {
    /// Serves the database in `file`, or one in memory, on a port of the loopback address (0: any
    /// free one).
    ///
    /// # Errors
    /// [`StartError`] when the file can't be opened or the port can't be had.
    pub async fn start(file: Option<&Path>, port: u16) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Database(error.to_string());
        let database = match file {
            Some(file) => {
                if let Some(folder) = file.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
                }
                dynoxide::Database::new(&file.to_string_lossy())
            }
            None => dynoxide::Database::memory(),
        };
        let database = database.map_err(|error| failed(&error))?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener =
            listener.map_err(|error| failed(&format!("DYNAMODB_PORT={port}: {error}")))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let served = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener, database, stopped,
        ));
        Ok(Self {
            endpoint: format!("http://{address}"),
            stop,
            served,
        })
    }

    /// Ends it, once running requests have their answers.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.served.await {
            tracing::warn!(%error, "the embedded DynamoDB ended badly");
        }
    }
}

/// Creates the table as template.yaml describes it, unless it is there.
///
/// # Errors
/// [`StartError::Database`].
pub async fn create_table(dynamo: &Dynamo) -> Result<(), StartError> {
    let created = describe(&dynamo.client, &dynamo.table).send().await;
    if let Err(error) = created
        && !matches!(
            error.as_service_error(),
            Some(CreateTableError::ResourceInUseException(_))
        )
    {
        return Err(StartError::Database(DisplayErrorContext(error).to_string()));
    }
    expire_rows(&dynamo.client, &dynamo.table).await
}

fn describe(
    client: &Client,
    table: &str,
) -> aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder {
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
                .projection_type(ProjectionType::All)
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

async fn expire_rows(client: &Client, table: &str) -> Result<(), StartError> {
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
        // Enabled already, since an earlier start.
        Err(error)
            if error
                .as_service_error()
                .and_then(|error| error.meta().code())
                == Some("ValidationException") =>
        {
            Ok(())
        }
        Err(error) => Err(StartError::Database(DisplayErrorContext(error).to_string())),
    }
}

//! DynamoDB in memory behind HTTP on a loopback port, and a client to look at its rows.

use std::{collections::HashMap, fmt};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use dynoxide::{AttributeValue as Stored, Database, ImportOptions};
use local::{ChangeFeed, database_client};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{background, changes::Changes};

/// The table that all functions use, for `TABLE_NAME`.
pub const TABLE: &str = "weapp";

/// A row.
pub type Item = HashMap<String, AttributeValue>;

/// A database with the project's table in it. Dropping it stops its server; for an outage put a
/// [`WireProxy`](crate::wire_proxy::WireProxy) in front.
pub struct DynamoDb {
    port: u16,
    client: Client,
    database: Database,
    /// Stops the server when dropped.
    _stop: oneshot::Sender<()>,
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Starts an empty database with the project's table.
    pub async fn start() -> Self {
        let database = Database::memory().unwrap();
        let listener = background()
            .spawn(TcpListener::bind(("127.0.0.1", 0)))
            .await
            .unwrap()
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        background().spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            async {
                let _ = stopped.await;
            },
        ));
        let client = database_client(&url(port));
        local::create_table(&client, TABLE).await.unwrap();
        Self {
            port,
            client,
            database,
            _stop: stop,
        }
    }

    /// The value of `AWS_ENDPOINT_URL_DYNAMODB`.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client for what the methods below don't cover.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The changes of the table from now on: until the first call there is no stream.
    pub async fn changes(&self) -> Changes {
        local::enable_stream(&self.client, TABLE).await.unwrap();
        let feed = ChangeFeed::open(self.database.clone(), TABLE).unwrap();
        Changes::new(feed)
    }

    /// Puts many rows at once, past the API.
    pub fn import(&self, rows: impl IntoIterator<Item = Item>) {
        let stored = |row: Item| row.into_iter().map(|(name, value)| (name, stored(value)));
        let rows = rows.into_iter().map(|row| stored(row).collect()).collect();
        self.database
            .import_items(TABLE, rows, ImportOptions::default())
            .unwrap();
    }

    /// One row.
    pub async fn item(&self, pk: &str, sk: &str) -> Option<Item> {
        let get = self
            .client
            .get_item()
            .table_name(TABLE)
            .consistent_read(true);
        let get = get
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()));
        get.send().await.expect("GetItem").item
    }

    /// The rows with this partition key, in the order of their sort keys.
    pub async fn partition(&self, pk: &str) -> Vec<Item> {
        let query = self
            .client
            .query()
            .table_name(TABLE)
            .key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
        query
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .expect("Query")
    }

    /// Every row.
    pub async fn items(&self) -> Vec<Item> {
        let scan = self.client.scan().table_name(TABLE).consistent_read(true);
        scan.into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .expect("Scan")
    }

    /// Every row whose partition key begins with `prefix`, e.g. `USER#`.
    pub async fn items_under(&self, prefix: &str) -> Vec<Item> {
        let mut items = self.items().await;
        items.retain(|item| item["pk"].as_s().is_ok_and(|pk| pk.starts_with(prefix)));
        items
    }
}

/// A value as the database keeps it, of the kinds that the project's rows have.
fn stored(value: AttributeValue) -> Stored {
    match value {
        AttributeValue::S(text) => Stored::S(text),
        AttributeValue::N(number) => Stored::N(number),
        AttributeValue::Bool(flag) => Stored::BOOL(flag),
        AttributeValue::Ss(texts) => Stored::SS(texts),
        AttributeValue::M(members) => Stored::M(
            members
                .into_iter()
                .map(|(name, value)| (name, stored(value)))
                .collect(),
        ),
        other => panic!("no row has a value like {other:?}"),
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_that_was_put_is_found_again() {
        let database = DynamoDb::start().await;
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = database.client().put_item().table_name(TABLE);
        put.item("pk", text("USER#1"))
            .item("sk", text("PROFILE"))
            .send()
            .await
            .unwrap();
        assert!(database.item("USER#1", "PROFILE").await.is_some());
        assert!(database.item("USER#2", "PROFILE").await.is_none());
        assert_eq!(database.partition("USER#1").await.len(), 1);
        assert_eq!(database.items_under("USER#").await.len(), 1);
        assert_eq!(database.items_under("WX#").await.len(), 0);
    }

    #[tokio::test]
    async fn the_table_has_its_index_and_its_time_to_live() {
        let database = DynamoDb::start().await;
        let table = database
            .client()
            .describe_table()
            .table_name(TABLE)
            .send()
            .await
            .unwrap()
            .table
            .unwrap();
        assert_eq!(
            table.global_secondary_indexes()[0].index_name(),
            Some("gsi1")
        );
        let ttl = database
            .client()
            .describe_time_to_live()
            .table_name(TABLE)
            .send()
            .await
            .unwrap();
        assert_eq!(
            ttl.time_to_live_description()
                .and_then(|ttl| ttl.attribute_name()),
            Some("ttl")
        );
    }
}

//! The list of the values: an index names the keys that have one, in their order.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    dynamo::{self, DynamoError},
    ids::UserId,
    users::rows::REMOTE_CONFIG,
};

use super::{RemoteConfig, Row};
use crate::key::ConfigKey;

/// The index.
const INDEX: &str = "gsi1";
/// The partition of it in which the keys of values are.
pub(super) const PARTITION: &str = "CONFIGS";
/// Rows that are read at the same time.
const CONCURRENCY: usize = 16;

/// What there is to know of a value without reading it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigSummary {
    /// Its key.
    pub key: ConfigKey,
    /// One more with each change of the key.
    pub version: u64,
    /// The bytes of the value, as it was written.
    pub size: usize,
    /// When it was written.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    pub updated_at: Timestamp,
    /// The administrator who wrote it.
    pub updated_by: UserId,
}

/// A page of the list.
pub struct ConfigPage {
    /// The values, in the order of their keys. Fewer than asked for, where some have just been deleted.
    pub values: Vec<ConfigSummary>,
    /// The key after which the next page begins; none if this is the last page.
    pub next: Option<ConfigKey>,
}

/// What the index says of a value.
#[derive(Deserialize)]
struct Named {
    gsi1sk: ConfigKey,
}

impl RemoteConfig {
    /// At most `limit` values, those whose keys come after `after`. The index knows of a change a moment
    /// after it.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn page(
        &self,
        limit: usize,
        after: Option<&ConfigKey>,
    ) -> Result<ConfigPage, DynamoError> {
        let mut keys = self.keys(limit + 1, after).await?;
        let has_more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| has_more).cloned();
        let rows = keys.into_iter().map(|key| self.summary(key));
        let rows: Vec<_> = stream::iter(rows)
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(ConfigPage {
            values: rows.into_iter().flatten().collect(),
            next,
        })
    }

    async fn keys(
        &self,
        limit: usize,
        after: Option<&ConfigKey>,
    ) -> Result<Vec<ConfigKey>, DynamoError> {
        let query = self
            .dynamo
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .expression_attribute_values(":pk", dynamo::string(PARTITION))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let query = match after {
            Some(key) => query
                .key_condition_expression("gsi1pk = :pk AND gsi1sk > :after")
                .expression_attribute_values(":after", dynamo::string(key.to_string())),
            None => query.key_condition_expression("gsi1pk = :pk"),
        };
        let page = self.dynamo.page(query).await?;
        let rows = page.items.unwrap_or_default().into_iter();
        let named = rows.map(|row| Ok(dynamo::from_item::<Named>(row)?.gsi1sk));
        named.collect()
    }

    async fn summary(&self, key: ConfigKey) -> Result<Option<ConfigSummary>, DynamoError> {
        let row = self.dynamo.get(&key.pk(), REMOTE_CONFIG.sk).await?;
        let row = row.map(dynamo::from_item::<Row>).transpose()?;
        Ok(row.and_then(|row| {
            Some(ConfigSummary {
                key,
                version: row.version,
                size: row.value?.len(),
                updated_at: row.changed_at,
                updated_by: row.changed_by,
            })
        }))
    }
}

//! The values: true in DynamoDB (`CONFIG#{key}` / `CONFIG`), remembered in the cache
//! (`{config:key}`).
//!
//! A deleted value leaves its row without a value, so that a key's versions never start again: else a
//! client that has version 1 of it would take another version 1 for the same. The index `gsi1` lists the
//! rows with a value.

mod page;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, ExpectedVersion, Reason},
    cache::{Cache, CachePolicy, Cached, LoadingCache},
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, Update, WriteOutcome},
    ids::UserId,
    random::Random,
    resilience::{Denied, Ticket},
    users::rows::REMOTE_CONFIG,
};
use thiserror::Error;

pub use page::{ConfigPage, ConfigSummary};

use crate::{key::ConfigKey, settings::RemoteConfigSettings, value::JsonText};

/// A value, as cached and as clients see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(description = "A value of remote configuration.")
)]
#[serde(rename_all = "camelCase")]
pub struct ConfigValue {
    /// Its key.
    pub key: ConfigKey,
    /// Any JSON.
    #[cfg_attr(feature = "openapi", schemars(with = "serde_json::Value"))]
    pub value: JsonText,
    /// One more with each change of the key.
    pub version: u64,
    /// When it was written.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    pub updated_at: Timestamp,
}

/// As JSON.
impl Cached for ConfigValue {
    fn encode(&self) -> Vec<u8> {
        // Serializing it can't fail; an empty value would count as not cached.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }
}

/// A row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// JSON; absent where the value was deleted.
    #[serde(default)]
    value: Option<String>,
    version: u64,
    changed_at: Timestamp,
    changed_by: UserId,
    /// Unique to the change.
    change_id: String,
}

/// Why a value can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Too many requests.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Denied(error) => error.into(),
            ReadError::Dynamo(error) => error.into(),
        }
    }
}

/// Why a value can't be changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// There is no such value.
    #[error("no such value")]
    NotFound,
    /// There is a value, and the change was made for none.
    #[error("there is a value already")]
    Exists,
    /// There is another version, or none, than the change was made for.
    #[error("changed by someone else")]
    Stale(ExpectedVersion),
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound => Reason::NotFound.into(),
            ChangeError::Exists => Reason::Conflict.into(),
            ChangeError::Stale(expected) => expected.mismatch().into(),
            ChangeError::Dynamo(error) => error.into(),
        }
    }
}

/// What an administrator does to a key.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The key.
    pub key: &'a ConfigKey,
    /// The new value; `None` deletes it.
    pub value: Option<&'a JsonText>,
    /// The version that it was made for. Without one, there must be no value to write one, and any
    /// may be deleted.
    pub expected: Option<ExpectedVersion>,
    /// The administrator.
    pub by: UserId,
}

/// The values. Cheap to clone.
#[derive(Clone)]
pub struct RemoteConfig {
    dynamo: Dynamo,
    values: LoadingCache<ConfigValue>,
    clock: Clock,
    random: Random,
}

impl RemoteConfig {
    /// Values in `dynamo`, remembered in `cache` as `settings` say.
    #[must_use]
    pub fn new(
        dynamo: Dynamo,
        cache: Cache,
        clock: Clock,
        random: Random,
        settings: &RemoteConfigSettings,
    ) -> Self {
        let policy = CachePolicy::new("config", settings.cache_ttl).stale_for(settings.stale);
        Self {
            dynamo,
            values: LoadingCache::new(cache, policy),
            clock,
            random,
        }
    }

    /// The value of `key`, if there is one; charges `ticket` in the same round trip.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn get(
        &self,
        key: &ConfigKey,
        ticket: Ticket,
    ) -> Result<Option<ConfigValue>, ReadError> {
        let cache_key = key.cache_key();
        let step = ticket.step();
        let (mut replies, [known]) = self
            .values
            .store()
            .read_and_step(step.as_slice(), [&cache_key])
            .await;
        ticket.apply(replies.pop().flatten())?;
        let load = || Box::pin(self.load(key)) as _;
        Ok(self.values.complete(&cache_key, known, load).await?)
    }

    /// Changes a key; the version that it has now, and when it was changed.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change(&self, change: Change<'_>) -> Result<(u64, Timestamp), ChangeError> {
        let id = self.random.uuid_v7(&self.clock).to_string();
        let update = change.update(&id, self.clock.now());
        let outcome = self.dynamo.update(update).await;
        // Also after a failure: a write whose answer was lost may have happened.
        self.values.invalidate(&change.key.cache_key()).await;
        let row = match outcome? {
            WriteOutcome::Written(row) => dynamo::from_item(row)?,
            WriteOutcome::ConditionFailed(found) => {
                let found = found.map(dynamo::from_item).transpose()?;
                change.done_before(found, &id)?
            }
        };
        Ok((row.version, row.changed_at))
    }

    async fn load(&self, key: &ConfigKey) -> Result<Option<ConfigValue>, DynamoError> {
        let row = self.dynamo.get(&key.pk(), REMOTE_CONFIG.sk).await?;
        let Some(row) = row.map(dynamo::from_item::<Row>).transpose()? else {
            return Ok(None);
        };
        let Some(value) = row.value else {
            return Ok(None);
        };
        let value = JsonText::stored(value).map_err(DynamoError::unreadable)?;
        Ok(Some(ConfigValue {
            key: key.clone(),
            value,
            version: row.version,
            updated_at: row.changed_at,
        }))
    }
}

impl Change<'_> {
    /// The update of the row.
    fn update(&self, id: &str, now: Timestamp) -> Update {
        let (set, remove) = match self.value {
            Some(_) => (", #value = :value, gsi1pk = :listed, gsi1sk = :key", ""),
            None => ("", " REMOVE #value, gsi1pk, gsi1sk"),
        };
        let expression = format!(
            "SET changedAt = :now, changedBy = :by, changeId = :id{set} ADD version :one{remove}"
        );
        let update = Update::new(self.row_key(), expression, self.condition())
            .name("#value", "value")
            .value(":now", dynamo::string(now.to_string()))
            .value(":by", dynamo::string(self.by.to_string()))
            .value(":id", dynamo::string(id))
            .value(":one", dynamo::number(1))
            .returning_new()
            .returning_old_on_failure();
        match self.value {
            Some(value) => update
                .value(":value", dynamo::string(value.as_str()))
                .value(":listed", dynamo::string(page::PARTITION))
                .value(":key", dynamo::string(self.key.to_string())),
            None => update,
        }
    }

    fn condition(&self) -> Condition {
        match (self.value, self.expected) {
            (Some(_), None) => Condition::new("attribute_not_exists(#value)"),
            (None, None) => Condition::new("attribute_exists(#value)"),
            (_, Some(expected)) => {
                // No row has a version beyond this range.
                let version = i64::try_from(expected.version()).unwrap_or(i64::MAX);
                Condition::new("attribute_exists(#value) AND version = :expected")
                    .value(":expected", dynamo::number(version))
            }
        }
    }

    fn row_key(&self) -> Item {
        dynamo::key(&self.key.pk(), REMOTE_CONFIG.sk)
    }

    /// What it means that the condition did not hold: that this change was made already, by an attempt
    /// whose answer was lost, or that it can't be made.
    fn done_before(&self, found: Option<Row>, id: &str) -> Result<Row, ChangeError> {
        let error = |has_value: bool| match (self.value, self.expected) {
            (None, _) if !has_value => ChangeError::NotFound,
            (_, Some(expected)) => ChangeError::Stale(expected),
            (Some(_), None) => ChangeError::Exists,
            (None, None) => ChangeError::NotFound,
        };
        let Some(row) = found else {
            return Err(error(false));
        };
        if row.change_id == id {
            Ok(row)
        } else {
            Err(error(row.value.is_some()))
        }
    }
}

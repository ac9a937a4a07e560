//! Profiles in DynamoDB (`USER#{uid}` / `PROFILE`) and in the cache (`{u:uid}:profile`).

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use thiserror::Error;

use super::{
    Gender, Status, User,
    rows::{PROFILE, profile_key, user_pk},
};
use crate::{
    cache::{Cache, CacheEntry, CachePolicy, Cached, LoadingCache},
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update, WriteOutcome},
    ids::UserId,
    values::{AvatarUrl, Edit, Nickname},
};

/// Where a profile is cached.
#[must_use]
pub fn profile_cache_key(id: UserId) -> String {
    format!("{{u:{id}}}:profile")
}

/// Forgets the cached profile after its row was written.
pub(super) async fn invalidate_cached(cache: &Cache, id: UserId) {
    cache.invalidate(&profile_cache_key(id)).await;
}

/// A user as it is cached: with what clients don't see.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CachedUser<'a> {
    #[serde(flatten)]
    user: &'a User,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_on: Option<Date>,
}

/// As JSON.
impl Cached for User {
    fn encode(&self) -> Vec<u8> {
        let last_active_on = self.last_active_on;
        let cached = CachedUser {
            user: self,
            last_active_on,
        };
        // Serializing a user can't fail; an empty value would count as not cached.
        serde_json::to_vec(&cached).unwrap_or_default()
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }
}

/// Why a profile can't be read or changed.
#[derive(Debug, Error)]
pub enum UserError {
    /// No such user.
    #[error("no such user")]
    NotFound,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// A change of some fields of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The nickname.
    pub nickname: Edit<Nickname>,
    /// The avatar.
    pub avatar_url: Edit<AvatarUrl>,
    /// The gender.
    pub gender: Edit<Gender>,
}

impl ProfileChange {
    /// Each field's attribute with what happens to it.
    pub(super) fn edits(&self) -> [(&'static str, Edit<AttributeValue>); 3] {
        [
            (
                "nickname",
                self.nickname
                    .as_ref()
                    .map(|new| dynamo::string(new.as_str())),
            ),
            (
                "avatarUrl",
                self.avatar_url
                    .as_ref()
                    .map(|new| dynamo::string(new.as_str())),
            ),
            ("gender", self.gender.map(|new| dynamo::number(new as u8))),
        ]
    }
}

/// The update of a user's row that makes `edits` of its attributes, if `condition` holds. Names are
/// placeholders, because some are reserved words.
pub(super) fn edits_of_user(
    id: UserId,
    now: Timestamp,
    edits: impl IntoIterator<Item = (&'static str, Edit<AttributeValue>)>,
    condition: Condition,
) -> Update {
    let mut set = vec!["updatedAt = :now".to_owned()];
    let (mut removed, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (name, edit) in edits {
        match edit {
            Edit::Keep => continue,
            Edit::Clear => removed.push(format!("#{name}")),
            Edit::Set(value) => {
                set.push(format!("#{name} = :{name}"));
                values.push((format!(":{name}"), value));
            }
        }
        names.push(name);
    }
    let mut expression = format!("SET {} ADD version :one", set.join(", "));
    if !removed.is_empty() {
        expression = format!("{expression} REMOVE {}", removed.join(", "));
    }
    let update = Update::new(profile_key(id), expression, condition)
        .value(":now", dynamo::string(now.to_string()))
        .value(":one", dynamo::number(1));
    let with_name = |update: Update, name| update.name(&format!("#{name}"), name);
    let update = names.into_iter().fold(update, with_name);
    let with_value = |update: Update, (name, value): (String, _)| update.value(&name, value);
    values.into_iter().fold(update, with_value)
}

/// The profiles of users. Cheap to clone.
#[derive(Clone)]
pub struct Profiles {
    dynamo: Dynamo,
    cache: LoadingCache<User>,
    clock: Clock,
}

impl Profiles {
    /// Profiles in `dynamo`, remembered in `cache` for `cache_ttl`.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock, cache_ttl: Duration) -> Self {
        // Never stale: a profile says whether its user is disabled.
        let policy = CachePolicy::new("profile", cache_ttl).renewed_early();
        Self {
            dynamo,
            cache: LoadingCache::new(cache, policy),
            clock,
        }
    }

    /// The user, from what the cache said (`known`) or from DynamoDB.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn complete(&self, id: UserId, known: CacheEntry) -> Result<User, UserError> {
        let profile = self
            .cache
            .complete(&profile_cache_key(id), known, || Box::pin(self.load(id)))
            .await?;
        profile.ok_or(UserError::NotFound)
    }

    /// The user, from the cache or from DynamoDB.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn get(&self, id: UserId) -> Result<User, UserError> {
        let profile = self
            .cache
            .get(&profile_cache_key(id), || Box::pin(self.load(id)))
            .await?;
        profile.ok_or(UserError::NotFound)
    }

    /// Changes some fields, and leaves the others as they are, whatever is written to them at the
    /// same time.
    ///
    /// # Errors
    /// [`UserError::NotFound`], also for a barred account; or DynamoDB's error.
    pub async fn change(&self, id: UserId, change: &ProfileChange) -> Result<User, UserError> {
        // What is written to an account that is barred would be lost with it.
        let in_use = Condition::new("attribute_exists(pk) AND #status <> :barred")
            .name("#status", "status")
            .value(":barred", dynamo::string(Status::Barred.as_str()));
        let update = edits_of_user(id, self.clock.now(), change.edits(), in_use);
        let update = update.returning_new();
        let outcome = self.dynamo.update(update).await;
        // Also after a failure: a write whose answer was lost may have happened.
        self.cache.invalidate(&profile_cache_key(id)).await;
        match outcome? {
            WriteOutcome::Written(row) => Ok(dynamo::from_item(row)?),
            WriteOutcome::ConditionFailed(_) => Err(UserError::NotFound),
        }
    }

    /// The user as the row says at this moment.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn read(&self, id: UserId) -> Result<User, UserError> {
        self.load(id).await?.ok_or(UserError::NotFound)
    }

    async fn load(&self, id: UserId) -> Result<Option<User>, DynamoError> {
        let item = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
        item.map(dynamo::from_item).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_user_is_the_stored_one() {
        let id = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let mut user = User::new(id, "2026-11-23T01:02:03.004Z".parse().unwrap());
        assert_eq!(User::decode(&user.encode()), Some(user.clone()));
        user.last_active_on = Some("2026-11-24".parse().unwrap());
        assert_eq!(User::decode(&user.encode()), Some(user.clone()));
        let shown = serde_json::to_string(&user).unwrap();
        assert!(!shown.contains("lastActiveOn"), "{shown}");
    }
}

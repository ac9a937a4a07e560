//! Users in DynamoDB (`USER#{uid}` / `PROFILE`) and in the cache (`{u:uid}:profile`).

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue},
};
use thiserror::Error;

use super::{Gender, User};
use crate::{
    cache::{Cache, CacheEntry},
    clock::Clock,
    dynamo::{self, Dynamo, DynamoError, Item},
    ids::UserId,
    values::{AvatarUrl, Edit, Nickname},
};

/// Where a profile is cached.
#[must_use]
pub fn profile_cache_key(id: UserId) -> String {
    format!("{{u:{id}}}:profile")
}

/// The listing of users by creation time is spread over this many partitions, so that none is hot.
const LISTING_PARTITIONS: u8 = 16;

/// Why a user can't be had.
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
    fn edits(&self) -> [(&'static str, Edit<AttributeValue>); 3] {
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

/// The users. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    pub(super) dynamo: Dynamo,
    pub(super) clock: Clock,
    pub(super) cache: Cache,
    cache_life: Duration,
}

impl Users {
    /// Users in `dynamo`, remembered in `cache` for `cache_life`.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock, cache_life: Duration) -> Self {
        Self {
            dynamo,
            clock,
            cache,
            cache_life,
        }
    }

    /// The user, from what the cache said (`known`) or from DynamoDB.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn complete(&self, id: UserId, known: CacheEntry) -> Result<User, UserError> {
        let profile = self
            .cache
            .fill(&profile_cache_key(id), known, self.cache_life, || {
                Box::pin(self.load(id))
            })
            .await?;
        let profile = profile.ok_or(UserError::NotFound)?;
        serde_json::from_slice(&profile).map_err(|error| DynamoError::unreadable(error).into())
    }

    /// The user, from the cache or from DynamoDB.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn get(&self, id: UserId) -> Result<User, UserError> {
        let [known] = self.cache.read([&profile_cache_key(id)]).await;
        self.complete(id, known).await
    }

    /// Changes some fields; everything else stays as it is, whoever else writes.
    ///
    /// # Errors
    /// [`UserError::NotFound`], or DynamoDB's error.
    pub async fn change(&self, id: UserId, change: &ProfileChange) -> Result<User, UserError> {
        let mut set = vec!["updatedAt = :now".to_owned()];
        let mut remove = Vec::new();
        let mut update = self
            .dynamo
            .client
            .update_item()
            .table_name(&self.dynamo.table);
        for (name, edit) in change.edits() {
            match edit {
                Edit::Keep => {}
                Edit::Clear => remove.push(name),
                Edit::Set(value) => {
                    set.push(format!("{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), value);
                }
            }
        }
        let remove = if remove.is_empty() {
            String::new()
        } else {
            format!(" REMOVE {}", remove.join(", "))
        };
        let written = update
            .set_key(Some(dynamo::key(&user_pk(id), PROFILE)))
            .update_expression(format!("SET {}{remove} ADD version :one", set.join(", ")))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", dynamo::string(self.clock.now().to_string()))
            .expression_attribute_values(":one", dynamo::number(1))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        // Also after a failure: a write whose answer was lost may have happened.
        self.forget_cached(id).await;
        let written = written.map_err(|error| match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => UserError::NotFound,
            _ => DynamoError::from(error).into(),
        })?;
        Ok(dynamo::from_item(written.attributes.unwrap_or_default())?)
    }

    /// Forgets the cached profile after its row was written.
    pub(super) async fn forget_cached(&self, id: UserId) {
        self.cache.invalidate(&profile_cache_key(id)).await;
    }

    /// The profile as JSON, as it is cached and sent to its owner.
    async fn load(&self, id: UserId) -> Result<Option<Vec<u8>>, DynamoError> {
        let Some(item) = self.dynamo.get(&user_pk(id), PROFILE).await? else {
            return Ok(None);
        };
        let user: User = dynamo::from_item(item)?;
        serde_json::to_vec(&user)
            .map(Some)
            .map_err(DynamoError::unreadable)
    }
}

pub(super) const PROFILE: &str = "PROFILE";

pub(crate) fn user_pk(id: UserId) -> String {
    format!("USER#{id}")
}

/// The row of a new user, with its place in the listing.
pub(super) fn new_row(user: &User) -> Result<Item, DynamoError> {
    let mut item = dynamo::to_item(&user_pk(user.id), PROFILE, user)?;
    let partition = user.id.0.as_bytes()[15] % LISTING_PARTITIONS;
    item.insert(
        "gsi1pk".into(),
        dynamo::string(format!("USERS#{partition}")),
    );
    // Always with milliseconds: without trailing zeros the text would not sort as the time does.
    item.insert(
        "gsi1sk".into(),
        dynamo::string(format!("{:.3}#{}", user.created_at, user.id)),
    );
    Ok(item)
}

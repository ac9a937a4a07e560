//! Bars accounts: nobody logs in, refreshes or binds anything from then on, and every token is
//! refused.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use super::{
    Status,
    profiles::{invalidate_cached, profile_cache_key},
    rows::{PROFILE, profile_key, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update, Write, WriteOutcome},
    ids::UserId,
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
};

/// How long a login can be on its way: longer than any request lives.
const LOGINS_END: Duration = Duration::from_mins(2);
/// Its name in `degraded` log lines.
const WHAT: &str = "barred accounts";

/// Bars accounts, and says which are. Cheap to clone.
#[derive(Clone)]
pub struct Barring {
    dynamo: Dynamo,
    cache: Cache,
    /// What instances share, if anything.
    shared: Option<Kv>,
    clock: Clock,
}

impl Barring {
    /// Bars accounts in `dynamo`, and what `cache` remembers of them; `shared` tells logins that have
    /// begun before.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, shared: Option<Kv>, clock: Clock) -> Self {
        Self {
            dynamo,
            cache,
            shared,
            clock,
        }
    }

    /// Bars the account. Whether there is one. Doing it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn bar(&self, user: UserId) -> Result<bool, DynamoError> {
        let update = self.barring(user).returning_old_on_failure();
        let outcome = self.dynamo.update(update).await;
        // Also after a failure: a write whose answer was lost may have happened.
        futures_util::join!(invalidate_cached(&self.cache, user), self.announce(user));
        Ok(!matches!(outcome?, WriteOutcome::ConditionFailed(None)))
    }

    /// Before an account is barred: from here on no reader believes what is cached of it, so that the
    /// bar is seen also if this process ends right after it.
    pub async fn prepare(&self, user: UserId) {
        self.cache.hold_back(&profile_cache_key(user)).await;
    }

    /// The part of a transaction that bars an account that is not barred yet. [`Self::prepare`] has
    /// to come before, and [`Self::bar`] to follow, to tell caches and logins.
    #[must_use]
    pub fn write(&self, user: UserId) -> Write {
        Write::Update(self.barring(user))
    }

    fn barring(&self, user: UserId) -> Update {
        let update = Update::new(
            profile_key(user),
            "SET statusBefore = #status, #status = :barred, updatedAt = :now ADD version :one",
            Condition::new("attribute_exists(pk) AND #status <> :barred"),
        );
        of_status(update)
            .value(":one", dynamo::number(1))
            .value(":now", dynamo::string(self.clock.now().to_string()))
    }

    /// Gives the account the status back that it had. Doing it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn lift(&self, user: UserId) -> Result<(), DynamoError> {
        let update = Update::new(
            profile_key(user),
            "SET #status = statusBefore, updatedAt = :now REMOVE statusBefore ADD version :one",
            Condition::new("#status = :barred"),
        );
        let update = of_status(update).value(":one", dynamo::number(1));
        let update = update.value(":now", dynamo::string(self.clock.now().to_string()));
        let lifted = self.dynamo.update(update).await;
        futures_util::join!(invalidate_cached(&self.cache, user), self.withdraw(user));
        lifted.map(drop)
    }

    /// Whether the account was barred or deleted while a login was on its way, which read it before.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn has_barred(&self, user: UserId) -> Result<bool, DynamoError> {
        if let Some(shared) = &self.shared
            && let Some([announced]) = shared.get([&key(user)]).await.or_degraded(WHAT)
        {
            return Ok(announced.is_some());
        }
        // Boxed, because it is large and rare.
        let profile = Box::pin(self.dynamo.get(&user_pk(user), PROFILE.sk)).await?;
        let status = profile
            .as_ref()
            .and_then(|row| row.get("status")?.as_s().ok());
        Ok(status.is_none_or(|status| status == Status::Barred.as_str()))
    }

    /// Closes a barred account to new identities, so that none is added behind a deletion's back. Doing
    /// it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn close(&self, user: UserId) -> Result<(), DynamoError> {
        let update = Update::new(
            profile_key(user),
            "SET deleting = :deleting",
            Condition::exists(),
        );
        let update = update.value(":deleting", AttributeValue::Bool(true));
        self.dynamo.update(update).await.map(drop)
    }

    /// Deletes the profile of a barred account. Doing it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn delete_profile(&self, user: UserId) -> Result<(), DynamoError> {
        let condition = Condition::new("attribute_exists(deleting)");
        let deleted = self.dynamo.delete(profile_key(user), condition).await;
        invalidate_cached(&self.cache, user).await;
        deleted.map(drop)
    }

    async fn announce(&self, user: UserId) {
        let Some(shared) = &self.shared else { return };
        let record = Record {
            key: &key(user),
            value: b"1",
            ttl: LOGINS_END,
        };
        let announced = shared.put(record, Delivery::Required).await;
        announced.or_degraded(WHAT);
    }

    async fn withdraw(&self, user: UserId) {
        let Some(shared) = &self.shared else { return };
        let withdrawn = shared.delete(&key(user), Delivery::Required).await;
        withdrawn.or_degraded(WHAT);
    }
}

fn of_status(update: Update) -> Update {
    update
        .name("#status", "status")
        .value(":barred", dynamo::string(Status::Barred.as_str()))
}

/// By a digest: nothing with a user's id stays behind when the account is deleted.
fn key(user: UserId) -> String {
    format!(
        "{{barred:{}}}",
        hex::encode(Sha256::digest(user.0.as_bytes()))
    )
}

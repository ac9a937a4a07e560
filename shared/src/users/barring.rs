//! Bars accounts: nobody logs in, refreshes or binds anything from then on, and every token is
//! refused.
//!
//! A barred account names the saga that barred it: only that one lifts the bar or deletes the account,
//! and a caller that meets the account continues that one.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Role, Status,
    profiles::{invalidate_cached, profile_cache_key},
    rows::{PROFILE, profile_key, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update, Write, WriteOutcome},
    ids::UserId,
    kv::{Delivery, Kv, Record},
    saga::SagaId,
    telemetry::OrDegraded,
};

/// How long a login can be on its way: longer than any request lives.
const LOGINS_END: Duration = Duration::from_mins(2);
/// Its name in `degraded` log lines.
const WHAT: &str = "barred accounts";

/// The bar of an account.
#[derive(Clone, Copy)]
pub struct Bar<'a> {
    /// The account.
    pub user: UserId,
    /// The saga that bars it.
    pub by: &'a SagaId,
    /// Whether a bar that names no saga counts as this one: earlier versions wrote those, for
    /// deletions.
    pub or_unnamed: bool,
}

/// What an account's row says of whether it can be used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountState {
    /// Its status.
    pub status: Status,
    /// The user's role.
    pub role: Role,
    /// The saga that bars it. Rows that earlier versions barred do not say.
    #[serde(default)]
    pub barred_by: Option<SagaId>,
}

/// What becomes of the sessions of an account that is barred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsOf {
    /// They end.
    Ending,
    /// They can be used again afterwards.
    Staying,
}

/// What became of barring an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It is barred, by this saga.
    Yes,
    /// There is no such account.
    NoAccount,
    /// Another saga bars it.
    ByAnother,
}

impl Bar<'_> {
    /// The account's row has this bar.
    pub(super) fn holds(self) -> Condition {
        self.holds_and("")
    }

    /// The account's row has this bar, and meets a further condition (` AND …`).
    pub(super) fn holds_and(self, further: &str) -> Condition {
        let ours = self.is_ours();
        let condition = Condition::new(format!("#status = :barred AND {ours}{further}"));
        self.named(condition)
    }

    /// The account's row has no other bar.
    fn may_be_put(self) -> Condition {
        let ours = self.is_ours();
        let free = format!("attribute_exists(pk) AND (#status <> :barred OR {ours})");
        self.named(Condition::new(free))
    }

    fn is_ours(self) -> &'static str {
        if self.or_unnamed {
            "(barredBy = :saga OR attribute_not_exists(barredBy))"
        } else {
            "barredBy = :saga"
        }
    }

    fn named(self, condition: Condition) -> Condition {
        condition
            .name("#status", "status")
            .value(":barred", dynamo::string(Status::Barred.as_str()))
            .value(":saga", dynamo::string(self.by.to_string()))
    }
}

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

    /// Bars the account.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn bar(&self, bar: Bar<'_>) -> Result<Barred, DynamoError> {
        let update = self.barring(bar, bar.may_be_put());
        let outcome = self.dynamo.update(update.returning_old_on_failure()).await;
        // Also after a failure: a write whose answer was lost may have happened.
        self.tell(bar.user).await;
        Ok(match outcome? {
            WriteOutcome::Written(_) => Barred::Yes,
            WriteOutcome::ConditionFailed(None) => Barred::NoAccount,
            WriteOutcome::ConditionFailed(Some(_)) => Barred::ByAnother,
        })
    }

    /// What follows a bar that a transaction wrote: caches are told, and logins that have begun before
    /// if their sessions may not stay. Whether the account has this bar.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn confirm(&self, bar: Bar<'_>, sessions: SessionsOf) -> Result<bool, DynamoError> {
        let tell = async {
            match sessions {
                SessionsOf::Ending => self.tell(bar.user).await,
                SessionsOf::Staying => invalidate_cached(&self.cache, bar.user).await,
            }
        };
        let ((), state) = futures_util::join!(tell, self.state(bar.user));
        Ok(state?.is_some_and(|state| state.barred_by.as_ref() == Some(bar.by)))
    }

    /// What the account's row says; none if there is no such account.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn state(&self, user: UserId) -> Result<Option<AccountState>, DynamoError> {
        let profile = self.dynamo.get(&user_pk(user), PROFILE.sk).await?;
        profile.map(dynamo::from_item).transpose()
    }

    /// Before an account is barred, or its bar lifted, in a transaction: from here on no reader believes
    /// what is cached of it, so that this is seen also if this process ends right after it.
    pub async fn prepare(&self, user: UserId) {
        self.cache.hold_back(&profile_cache_key(user)).await;
    }

    /// The part of a transaction that bars an account, unless another saga does. [`Self::prepare`] has
    /// to come before, and [`Self::bar`] or [`Self::confirm`] to follow, to tell caches and logins.
    #[must_use]
    pub fn write(&self, bar: Bar<'_>) -> Write {
        Write::Update(self.barring(bar, bar.may_be_put()))
    }

    /// The same, only for an account that is in use, and not an administrator's.
    #[must_use]
    pub fn write_if_in_use(&self, bar: Bar<'_>) -> Write {
        let in_use = Condition::new(
            "#status = :active AND (attribute_not_exists(#role) OR #role <> :admin)",
        );
        let in_use = in_use
            .name("#role", "role")
            .value(":active", dynamo::string(Status::Active.as_str()))
            .value(":admin", dynamo::string(Role::Admin.as_str()));
        Write::Update(self.barring(bar, bar.named(in_use)))
    }

    /// The part of a transaction that lets it happen only where there is no such account.
    #[must_use]
    pub fn check_gone(&self, user: UserId) -> Write {
        Write::Check(profile_key(user), Condition::absent())
    }

    /// Where the bar is there already, its account keeps the status that it had before.
    fn barring(&self, bar: Bar<'_>, condition: Condition) -> Update {
        let expression = "SET statusBefore = if_not_exists(statusBefore, #status), #status = :barred, \
            barredBy = :saga, updatedAt = :now ADD version :one";
        Update::new(profile_key(bar.user), expression, condition)
            .value(":one", dynamo::number(1))
            .value(":now", dynamo::string(self.clock.now().to_string()))
    }

    /// Gives the account the status back that it had before this bar. Doing it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn lift(&self, bar: Bar<'_>) -> Result<(), DynamoError> {
        let lifted = self.dynamo.update(self.lifting(bar)).await;
        futures_util::join!(self.tell_lifted(bar.user), self.withdraw(bar.user));
        lifted.map(drop)
    }

    /// The part of a transaction that lifts a bar. [`Self::prepare`] has to come before, and
    /// [`Self::tell_lifted`] to follow.
    #[must_use]
    pub fn write_lift(&self, bar: Bar<'_>) -> Write {
        Write::Update(self.lifting(bar))
    }

    /// What follows a bar that a transaction lifted: caches are told.
    pub async fn tell_lifted(&self, user: UserId) {
        invalidate_cached(&self.cache, user).await;
    }

    fn lifting(&self, bar: Bar<'_>) -> Update {
        let update = Update::new(
            profile_key(bar.user),
            "SET #status = statusBefore, updatedAt = :now REMOVE statusBefore, barredBy ADD version :one",
            bar.holds(),
        );
        update
            .value(":one", dynamo::number(1))
            .value(":now", dynamo::string(self.clock.now().to_string()))
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
        let state = Box::pin(self.state(user)).await?;
        Ok(state.is_none_or(|state| state.status == Status::Barred))
    }

    /// Closes a barred account to new identities, so that none is added behind its saga's back. Doing
    /// it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn close(&self, bar: Bar<'_>) -> Result<(), DynamoError> {
        let update = Update::new(
            profile_key(bar.user),
            "SET deleting = :deleting",
            bar.holds(),
        );
        let update = update.value(":deleting", AttributeValue::Bool(true));
        self.dynamo.update(update).await.map(drop)
    }

    /// Deletes the profile of a barred account that is closed. Doing it again changes nothing.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn delete_profile(&self, bar: Bar<'_>) -> Result<(), DynamoError> {
        let condition = bar.holds_and(" AND attribute_exists(deleting)");
        let deleted = self.dynamo.delete(profile_key(bar.user), condition).await;
        invalidate_cached(&self.cache, bar.user).await;
        deleted.map(drop)
    }

    /// Tells caches, and logins that have begun before, that the account is barred.
    async fn tell(&self, user: UserId) {
        futures_util::join!(invalidate_cached(&self.cache, user), self.announce(user));
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

/// By a digest: nothing with a user's id stays behind when the account is deleted.
fn key(user: UserId) -> String {
    format!(
        "{{barred:{}}}",
        hex::encode(Sha256::digest(user.0.as_bytes()))
    )
}

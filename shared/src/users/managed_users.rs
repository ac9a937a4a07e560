//! Users as administrators see and change them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use thiserror::Error;

use super::{
    Administrators, ProfileChange, Role, Status, User, UserError,
    profiles::{edits_of_user, invalidate_cached},
    rows::{self, PROFILE, profile_key, user_pk},
};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{
        self, Condition, Dynamo, DynamoError, TransactionOutcome, Update, Write, WriteOutcome,
    },
    ids::{AppId, UserId},
    request,
    values::Edit,
};

/// The position of the caller's row among the writes of a change that takes rights away.
const CALLER_CHECK: usize = 1;

/// A user with the mini-programs that know them.
pub struct ManagedUser {
    /// The user.
    pub user: User,
    /// The mini-programs in which the user has an identity, sorted.
    pub app_ids: Vec<AppId>,
}

/// A change of some fields of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedUserChange {
    /// The fields that the user may change as well.
    pub profile: ProfileChange,
    /// What the user may do.
    pub role: Option<Role>,
    /// Whether the user may do anything.
    pub status: Option<Status>,
}

/// Why a user was not changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// No such user.
    #[error("no such user")]
    NotFound,
    /// The account is barred: it is being deleted, or merged with another one.
    #[error("the account is barred")]
    Barred,
    /// The user has another version than the one that the change was made for.
    #[error("the user has another version")]
    Stale,
    /// The administrator would disable themselves, or give up their own role.
    #[error("administrators can't take away their own rights")]
    OwnRights,
    /// The caller stopped being an administrator meanwhile.
    #[error("the caller is no longer an administrator")]
    NotAdministrator,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// What a user's row says besides the user.
#[derive(Deserialize)]
struct Linked {
    #[serde(default)]
    identities: Vec<String>,
}

/// The users. Cheap to clone.
#[derive(Clone)]
pub struct ManagedUsers {
    dynamo: Dynamo,
    cache: Cache,
    clock: Clock,
    administrators: Administrators,
}

impl ManagedUserChange {
    /// Whether it can leave the user with less rights than before.
    fn takes_rights(&self) -> bool {
        self.role == Some(Role::User) || self.status == Some(Status::Disabled)
    }

    /// The names of the fields that it sets or clears, in the words of the API.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let edits = self.edits().into_iter();
        let named = edits.filter(|(_, edit)| *edit != Edit::Keep);
        named.map(|(name, _)| name).collect()
    }

    /// Each field's attribute with what happens to it.
    fn edits(&self) -> Vec<(&'static str, Edit<AttributeValue>)> {
        let mut edits = self.profile.edits().to_vec();
        let word = |word: &'static str| Edit::Set(dynamo::string(word));
        edits.push((
            "role",
            self.role.map_or(Edit::Keep, |role| word(role.as_str())),
        ));
        let status = self
            .status
            .map_or(Edit::Keep, |status| word(status.as_str()));
        edits.push(("status", status));
        edits
    }

    /// Who is answerable for what the user may do, if this changes it: stands in the row.
    fn answerable(&self, by: UserId) -> Edit<AttributeValue> {
        if self.role.is_some() || self.status.is_some() {
            Edit::Set(dynamo::string(by.to_string()))
        } else {
            Edit::Keep
        }
    }

    /// The user with these fields.
    fn applied_to(&self, mut user: User) -> User {
        let ProfileChange {
            nickname,
            avatar_url,
            gender,
        } = &self.profile;
        apply(
            &mut user.nickname,
            nickname.as_ref().map(|new| new.as_str().to_owned()),
        );
        apply(
            &mut user.avatar_url,
            avatar_url.as_ref().map(|new| new.as_str().to_owned()),
        );
        apply(&mut user.gender, *gender);
        user.role = self.role.unwrap_or(user.role);
        user.status = self.status.unwrap_or(user.status);
        user
    }
}

fn apply<T>(field: &mut Option<T>, edit: Edit<T>) {
    match edit {
        Edit::Keep => {}
        Edit::Clear => *field = None,
        Edit::Set(value) => *field = Some(value),
    }
}

impl ManagedUsers {
    /// Users in `dynamo`, whose profiles `cache` remembers.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock, administrators: Administrators) -> Self {
        Self {
            dynamo,
            cache,
            clock,
            administrators,
        }
    }

    /// The user as the table has it now, with the mini-programs that know them.
    ///
    /// # Errors
    /// [`UserError`].
    pub async fn get(&self, id: UserId) -> Result<ManagedUser, UserError> {
        let row = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
        let row = row.ok_or(UserError::NotFound)?;
        let linked: Linked = dynamo::from_item(row.clone())?;
        let mut app_ids: Vec<_> = rows::app_ids(&linked.identities).collect();
        app_ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        Ok(ManagedUser {
            user: dynamo::from_item(row)?,
            app_ids,
        })
    }

    /// Changes the user, who has to have the version `expected`, in the name of the administrator
    /// `by`. Can be repeated: a change that is in force already, and made this version the next one,
    /// succeeds.
    ///
    /// A change that can take rights away is written under the condition that `by` is still an
    /// administrator: of two who demote each other at the same time, one remains.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change(
        &self,
        by: &User,
        id: UserId,
        expected: u64,
        change: &ManagedUserChange,
    ) -> Result<User, ChangeError> {
        let gives_up_role = by.role == Role::Admin && change.role == Some(Role::User);
        if id == by.id && (gives_up_role || change.status == Some(Status::Disabled)) {
            return Err(ChangeError::OwnRights);
        }
        let attempt = || self.attempt(by.id, id, expected, change);
        let is_conflict =
            |error: &ChangeError| matches!(error, ChangeError::Dynamo(DynamoError::Conflict));
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    /// The changed user, or [`DynamoError::Conflict`] when another writer was faster.
    async fn attempt(
        &self,
        by: UserId,
        id: UserId,
        expected: u64,
        change: &ManagedUserChange,
    ) -> Result<User, ChangeError> {
        let row = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
        let before: User = dynamo::from_item(row.ok_or(ChangeError::NotFound)?)?;
        if before.status == Status::Barred {
            return Err(ChangeError::Barred);
        }
        if before.version != expected {
            let is_repeated = Some(before.version) == expected.checked_add(1)
                && change.applied_to(before.clone()) == before;
            if !is_repeated {
                return Err(ChangeError::Stale);
            }
            // The first request may have ended between its write and this.
            invalidate_cached(&self.cache, id).await;
            return Ok(before);
        }
        let mut changed = change.applied_to(before);
        changed.updated_at = self.clock.now();
        changed.version += 1;
        let version = AttributeValue::N(expected.to_string());
        let as_read = Condition::new("version = :before").value(":before", version);
        let edits = change.edits().into_iter();
        let edits = edits.chain([("changedBy", change.answerable(by))]);
        let update = edits_of_user(id, changed.updated_at, edits, as_read);
        // Nobody's rights depend on their own other changes.
        let depends_on = (change.takes_rights() && id != by).then_some(by);
        let written = self.write(update, depends_on).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, id).await;
        written.map(|()| changed)
    }

    async fn write(&self, update: Update, depends_on: Option<UserId>) -> Result<(), ChangeError> {
        let Some(by) = depends_on else {
            return match self.dynamo.update(update).await? {
                WriteOutcome::Written(_) => Ok(()),
                WriteOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
            };
        };
        let writes = vec![Write::Update(update), self.administrators.still(by)];
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(at) if at.contains(&CALLER_CHECK) => {
                Err(ChangeError::NotAdministrator)
            }
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict.into()),
        }
    }

    /// Gives the user the role `admin`, for an operator. Can be repeated.
    ///
    /// # Errors
    /// [`UserError`].
    pub async fn make_administrator(&self, id: UserId) -> Result<(), UserError> {
        let condition = Condition::new("attribute_exists(pk) AND #role <> :role");
        let update = Update::new(
            profile_key(id),
            "SET #role = :role, updatedAt = :now ADD version :one REMOVE changedBy",
            condition,
        );
        let update = update
            .name("#role", "role")
            .value(":role", dynamo::string(Role::Admin.as_str()))
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .value(":one", dynamo::number(1))
            .returning_old_on_failure();
        let outcome = self.dynamo.update(update).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, id).await;
        match outcome? {
            WriteOutcome::Written(_) => {
                tracing::info!(
                    audit = "administrator_made", user_id = %id, request_id = request::id(),
                    "an operator made a user an administrator"
                );
                Ok(())
            }
            WriteOutcome::ConditionFailed(Some(_)) => Ok(()),
            WriteOutcome::ConditionFailed(None) => Err(UserError::NotFound),
        }
    }
}

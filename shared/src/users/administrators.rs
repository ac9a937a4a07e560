//! Who is an administrator: a user with the role `admin`, or one that `ADMINS` names. Always as the
//! user's row says at this moment, so a role that was taken away, or a user who was disabled, counts
//! from the next request on.

use std::sync::Arc;

use thiserror::Error;

use super::{
    Role, Status, User,
    rows::{PROFILE, profile_key, user_pk},
};
use crate::{
    dynamo::{self, Condition, Dynamo, DynamoError, Write},
    ids::UserId,
};

/// Why a user is not admitted as an administrator.
#[derive(Debug, Error)]
pub enum AdministratorError {
    /// The user no longer exists.
    #[error("no such user")]
    NotFound,
    /// The user is disabled.
    #[error("the user is disabled")]
    Disabled,
    /// The user has neither the role nor is named in `ADMINS`.
    #[error("the user is not an administrator")]
    NotAdministrator,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// The administrators. Cheap to clone.
#[derive(Clone)]
pub struct Administrators {
    dynamo: Dynamo,
    /// `ADMINS`.
    named: Arc<[UserId]>,
}

impl Administrators {
    /// Those with the role in `dynamo`, and those in `named`.
    #[must_use]
    pub fn new(dynamo: Dynamo, named: Vec<UserId>) -> Self {
        Self {
            dynamo,
            named: named.into(),
        }
    }

    /// The user, who is an administrator now: one consistent read, never a cached profile.
    ///
    /// # Errors
    /// [`AdministratorError`].
    pub async fn check(&self, id: UserId) -> Result<User, AdministratorError> {
        let row = self.dynamo.get(&user_pk(id), PROFILE.sk).await?;
        let user: User = dynamo::from_item(row.ok_or(AdministratorError::NotFound)?)?;
        if user.status != Status::Active {
            return Err(AdministratorError::Disabled);
        }
        if self.include(&user) {
            Ok(user)
        } else {
            Err(AdministratorError::NotAdministrator)
        }
    }

    /// Whether `ADMINS` names the user: an administrator whatever the row says of their role.
    #[must_use]
    pub fn are_named(&self, id: UserId) -> bool {
        self.named.contains(&id)
    }

    /// Whether the user, as the row says, is one of them.
    #[must_use]
    pub fn include(&self, user: &User) -> bool {
        user.role == Role::Admin || self.are_named(user.id)
    }

    /// The part of a transaction that lets it happen only while the user is an administrator.
    #[must_use]
    pub fn still(&self, id: UserId) -> Write {
        let condition = if self.named.contains(&id) {
            Condition::new("#status = :active")
        } else {
            Condition::new("#status = :active AND #role = :admin")
                .name("#role", "role")
                .value(":admin", dynamo::string("admin"))
        };
        let condition = condition
            .name("#status", "status")
            .value(":active", dynamo::string("active"));
        Write::Check(profile_key(id), condition)
    }
}

//! `DELETE /api/v1/users/{id}`, `POST /api/v1/users/batch-delete`: accounts, with everything that is
//! stored about their users, at once: the time in which users can call their accounts back is for
//! their own deletions.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use shared::{
    accounts::{AccountDeletion, DeletionError},
    api::{Accepted, ApiError, Checks, Input, Json, Reason, Rule, Success},
    edge::Administrator,
    ids::UserId,
    instance::Instance,
    request,
    saga::{Progress, SagaId},
    users::{Administrators, ManagedUsers, UserError},
};

use crate::{audit, user_id};

/// Users of one request.
const MOST: usize = 100;
/// Accounts that are deleted at the same time.
const CONCURRENCY: usize = 8;

/// How far a deletion has come.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserDeletion")
)]
pub struct Deletion {
    status: Status,
    saga: SagaId,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserDeletionStatus")
)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Nothing about the user is stored.
    Deleted,
    /// The account is barred, and the rest goes on without the client.
    Deleting,
}

pub async fn delete(
    caller: Administrator,
    State(deleting): State<Deleting>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = user_id(id)?;
    let status = Box::pin(deleting.one(caller.user.id, id)).await?;
    let answer = Deletion {
        status,
        saga: AccountDeletion::id(id),
    };
    Ok(match status {
        Status::Deleted => Success(answer).into_response(),
        Status::Deleting => Accepted(answer).into_response(),
    })
}

/// Whose accounts to delete.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserBatch")
)]
#[serde(deny_unknown_fields)]
pub struct RawBatch {
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<UserId>", length(min = 1, max = MOST)))]
    ids: Vec<String>,
}

/// One to a hundred different users.
pub struct BatchInput(Vec<UserId>);

impl Input for BatchInput {
    type Raw = RawBatch;

    fn parse(raw: RawBatch, checks: &mut Checks) -> Option<Self> {
        let fits = (1..=MOST).contains(&raw.ids.len());
        let ids: Option<Vec<UserId>> = raw.ids.iter().map(|id| id.parse().ok()).collect();
        let ids = ids.filter(|_| fits).map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        checks.field("ids", Rule::UserIds, ids).map(Self)
    }
}

/// What became of the accounts.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "BatchOutcomes")
)]
pub struct BatchAnswer {
    outcomes: Vec<Outcome>,
}

/// What became of one user's account.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct Outcome {
    id: UserId,
    #[serde(flatten)]
    deletion: Option<Deletion>,
    /// Why it was not deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "Option<shared::openapi::ReasonName>")
    )]
    reason: Option<&'static str>,
}

pub async fn delete_batch(
    caller: Administrator,
    State(deleting): State<Deleting>,
    Json(BatchInput(ids)): Json<BatchInput>,
) -> Success<BatchAnswer> {
    let one = async |id| {
        let (status, reason) = match Box::pin(deleting.one(caller.user.id, id)).await {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.reason().as_str())),
        };
        let saga = AccountDeletion::id(id);
        Outcome {
            id,
            deletion: status.map(|status| Deletion { status, saga }),
            reason,
        }
    };
    let outcomes = stream::iter(ids).map(one).buffered(CONCURRENCY);
    Success(BatchAnswer {
        outcomes: outcomes.collect().await,
    })
}

/// What accounts are deleted with.
#[derive(Clone)]
pub struct Deleting {
    managed_users: ManagedUsers,
    administrators: Administrators,
    deletion: AccountDeletion,
}

impl Deleting {
    pub fn new(instance: &Instance) -> Self {
        Self {
            managed_users: instance.managed_users(),
            administrators: instance.administrators(),
            deletion: instance.account_deletion(),
        }
    }

    /// Deletes an account in the name of the administrator `by`: of two who delete each other at the
    /// same time, one remains.
    async fn one(&self, by: UserId, id: UserId) -> Result<Status, ApiError> {
        if by == id {
            return Err(Reason::OwnRights.into());
        }
        let exists = match self.managed_users.get(id).await {
            Ok(_) => true,
            Err(UserError::NotFound) => false,
            Err(error) => return Err(error.into()),
        };
        let this = self.clone();
        // To its end, also when the client does not wait for the answer.
        let progress = request::run_to_end(async move { this.run(exists, by, id).await }).await;
        let crashed = |error| ApiError::new(Reason::Internal).because(&error);
        match progress.map_err(crashed)?? {
            Progress::Done => Ok(Status::Deleted),
            Progress::Unfinished | Progress::Waiting(_) => Ok(Status::Deleting),
            // Called off by a login in between.
            Progress::Undone => Err(Reason::Conflict.into()),
        }
    }

    async fn run(self, exists: bool, by: UserId, id: UserId) -> Result<Progress, DeletionError> {
        if !exists {
            // One that was deleted before, maybe but for what comes after the profile.
            return Ok(self.deletion.resume(&AccountDeletion::id(id)).await?);
        }
        audit::deleted(by, id);
        let still = self.administrators.still(by);
        self.deletion.begin_now(id, Some(still)).await
    }
}

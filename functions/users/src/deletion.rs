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
    accounts::AccountDeletion,
    api::{Accepted, ApiError, Checks, Input, Json, Reason, Rule, Success},
    edge::Administrator,
    ids::UserId,
    request,
    saga::{Progress, SagaId},
    users::{Accounts, UserError},
};

use crate::{audit, user_id};

/// Users of one request.
const MOST: usize = 100;
/// Accounts that are deleted at the same time.
const CONCURRENCY: usize = 8;

/// How far a deletion has come.
#[derive(Serialize)]
pub struct Deletion {
    status: Status,
    saga: SagaId,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Nothing is stored about the user any more.
    Deleted,
    /// The account is barred, and the rest goes on without the client.
    Deleting,
}

pub async fn delete(
    caller: Administrator,
    State(accounts): State<Accounts>,
    State(deletion): State<AccountDeletion>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = user_id(id)?;
    let status = delete_one(&accounts, deletion, caller.user.id, id).await?;
    let answer = Deletion {
        status,
        saga: AccountDeletion::id(id),
    };
    Ok(match status {
        Status::Deleted => Success(answer).into_response(),
        Status::Deleting => Accepted(answer).into_response(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBatch {
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

#[derive(Serialize)]
pub struct BatchAnswer {
    outcomes: Vec<Outcome>,
}

/// What became of one user's account.
#[derive(Serialize)]
struct Outcome {
    id: UserId,
    #[serde(flatten)]
    deletion: Option<Deletion>,
    /// Why it was not deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

pub async fn delete_batch(
    caller: Administrator,
    State(accounts): State<Accounts>,
    State(deletion): State<AccountDeletion>,
    Json(BatchInput(ids)): Json<BatchInput>,
) -> Success<BatchAnswer> {
    let one = async |id| {
        let deleted = delete_one(&accounts, deletion.clone(), caller.user.id, id).await;
        let (status, reason) = match deleted {
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

async fn delete_one(
    accounts: &Accounts,
    deletion: AccountDeletion,
    by: UserId,
    id: UserId,
) -> Result<Status, ApiError> {
    if by == id {
        return Err(Reason::OwnRights.into());
    }
    let exists = match accounts.get(id).await {
        Ok(_) => true,
        Err(UserError::NotFound) => false,
        Err(error) => return Err(error.into()),
    };
    let run = async move {
        if exists {
            deletion.begin_now(id).await
        } else {
            // One that was deleted before, maybe but for what comes after the profile.
            deletion.resume(&AccountDeletion::id(id)).await
        }
    };
    audit::deleted(by, id);
    // To its end, also when the client does not wait for the answer.
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    let progress = request::run_to_end(run).await.map_err(crashed)??;
    Ok(match progress {
        Progress::Done => Status::Deleted,
        Progress::Unfinished | Progress::Waiting(_) | Progress::Undone => Status::Deleting,
    })
}

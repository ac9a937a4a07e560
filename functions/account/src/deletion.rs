//! `DELETE /api/v1/user`: the user's account, with everything that is stored about them.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    accounts::AccountDeletion,
    api::{Accepted, ApiError, Reason, Success},
    edge::AuthenticatedUser,
    ids::UserId,
    request,
    saga::{Progress, SagaId},
};

/// How far a deletion has come.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deletion {
    status: Status,
    /// What an administrator finds the deletion by.
    saga: SagaId,
    /// Until when the account can be called back, by logging in with `cancelDeletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Nothing about the user is stored.
    Deleted,
    /// The account is barred, and deleted at the time in `until`.
    Barred,
    /// The account is barred, and the rest goes on without the client.
    Deleting,
}

/// The token is refused from the first step on. A disabled user is refused: a new account would undo
/// what an operator decided.
pub async fn delete(
    caller: AuthenticatedUser,
    State(deletion): State<AccountDeletion>,
) -> Result<Response, ApiError> {
    let user = caller.claims.sub;
    // To its end, also when the client does not wait for the answer.
    let progress = request::run_to_end(run(deletion, user)).await;
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    let progress = progress.map_err(crashed)??;
    let saga = AccountDeletion::id(user);
    let answer = |status, until| Deletion {
        status,
        saga,
        until,
    };
    Ok(match progress {
        Progress::Done => Success(answer(Status::Deleted, None)).into_response(),
        Progress::Waiting(until) => Accepted(answer(Status::Barred, Some(until))).into_response(),
        Progress::Unfinished => Accepted(answer(Status::Deleting, None)).into_response(),
        // Called off by a login in between.
        Progress::Undone => return Err(Reason::Conflict.into()),
    })
}

async fn run(deletion: AccountDeletion, user: UserId) -> Result<Progress, ApiError> {
    Ok(deletion.begin(user).await?)
}

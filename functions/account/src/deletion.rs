//! `DELETE /api/v1/user`: the user's account, with everything that is stored about them.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    accounts::{AccountDeletion, DeletionError},
    api::{Accepted, ApiError, Reason, Success},
    edge::AccountHolder,
    request,
    saga::{Progress, SagaError, SagaId},
};

/// How far a deletion has come.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AccountDeletion")
)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    status: Status,
    /// What an administrator finds the deletion by.
    saga: SagaId,
    /// Until when the account can be called back, by logging in with `cancelDeletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = "date-time")))]
    until: Option<Timestamp>,
}

#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "AccountDeletionStatus")
)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Nothing about the user is stored.
    Deleted,
    /// The account is barred, and deleted at the time in `until`.
    Barred,
    /// The account is barred, and the rest goes on without the client.
    Deleting,
}

/// The token is refused from the first step on, except here: a deletion that stopped goes on, and one
/// whose answer was lost is answered. A disabled user is refused: a new account would undo what an
/// operator decided.
pub async fn delete(
    caller: AccountHolder,
    State(deletion): State<AccountDeletion>,
) -> Result<Response, ApiError> {
    let (user, is_former) = match caller {
        AccountHolder::SignedIn(caller) => (caller.claims.sub, false),
        AccountHolder::Former(claims) => (claims.sub, true),
    };
    let run = async move {
        if is_former {
            let resumed = deletion.resume(&AccountDeletion::id(user)).await;
            resumed.map_err(DeletionError::from)
        } else {
            deletion.begin(user).await
        }
    };
    // To its end, also when the client does not wait for the answer.
    let progress = request::run_to_end(run).await;
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    let progress = match progress.map_err(crashed)? {
        // The session has ended in another way.
        Ok(Progress::Undone) | Err(DeletionError::Saga(SagaError::NotFound)) if is_former => {
            return Err(Reason::SessionRevoked.into());
        }
        progress => progress?,
    };
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

//! `GET /api/v1/sagas`, `POST /api/v1/sagas/{id}/resume`: deletions and merges of accounts that have not
//! ended.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    accounts::AccountSagas,
    api::{Accepted, ApiError, Reason, Success},
    edge::Administrator,
    saga::{Entry, Progress, SagaId, Sagas},
};

use crate::audit;

/// How many are shown: the oldest.
const SHOWN: u16 = 100;

/// What has not ended.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SagaList {
    /// The oldest first.
    sagas: Vec<Unfinished>,
}

/// A saga that has not ended. Whom it is about stays in its row.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "Saga")
)]
#[serde(rename_all = "camelCase")]
pub struct Unfinished {
    id: SagaId,
    /// `account-deletion` or `account-merge`.
    kind: String,
    /// The step that is next.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    updated_at: Timestamp,
    /// It goes on at this time, not earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = "date-time")))]
    until: Option<Timestamp>,
    /// Whether its last step failed; the log says why.
    failed: bool,
}

impl From<Entry> for Unfinished {
    fn from(entry: Entry) -> Self {
        Self {
            step: AccountSagas::step(&entry),
            until: entry
                .not_before
                .and_then(|time| Timestamp::from_second(time).ok()),
            failed: entry.failure.is_some(),
            id: entry.id,
            kind: entry.kind,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

pub async fn list(
    _caller: Administrator,
    State(sagas): State<Sagas>,
) -> Result<Success<SagaList>, ApiError> {
    let unfinished = sagas.unfinished(SHOWN).await?.into_iter();
    Ok(Success(SagaList {
        sagas: unfinished.map(Into::into).collect(),
    }))
}

/// How far a saga has come.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Resumed {
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["done", "undone", "unfinished", "waiting"])))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = "date-time")))]
    until: Option<Timestamp>,
}

pub async fn resume(
    caller: Administrator,
    State(sagas): State<AccountSagas>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id: Option<SagaId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let id = id.ok_or(Reason::NotFound)?;
    audit::saga_resumed(caller.user.id, &id);
    let progress = sagas.resume(&id).await?;
    let answer = |status| Resumed {
        status,
        until: None,
    };
    Ok(match progress {
        Progress::Done => Success(answer("done")).into_response(),
        Progress::Undone => Success(answer("undone")).into_response(),
        Progress::Unfinished => Accepted(answer("unfinished")).into_response(),
        Progress::Waiting(until) => Accepted(Resumed {
            status: "waiting",
            until: Some(until),
        })
        .into_response(),
    })
}

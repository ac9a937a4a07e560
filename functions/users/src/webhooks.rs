//! `GET /api/v1/webhooks/failures`, `POST /api/v1/webhooks/failures/{id}/redeliver`: events that were
//! not delivered.

use axum::extract::{Path, State, rejection::PathRejection};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    api::{Accepted, ApiError, Reason, Success},
    edge::Administrator,
    telemetry::OrDegraded,
    webhooks::{FailedDelivery, FailureId, Failures, Outbox},
};

use crate::audit;

/// How many are shown: the newest.
const SHOWN: u16 = 100;

/// Deliveries that were given up.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "FailedWebhookList")
)]
pub struct FailureList {
    /// The newest first.
    failures: Vec<ListedFailure>,
}

/// A delivery that was given up.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "FailedWebhook")
)]
#[serde(rename_all = "camelCase")]
pub struct ListedFailure {
    id: FailureId,
    /// The receiver, as `WEBHOOKS` names it.
    receiver: String,
    /// The `webhook-id` of the event.
    event_id: String,
    /// Such as `user.created`.
    event_type: String,
    /// Why the last attempt failed: `status 500`, `timeout`, `unreachable`, or another word.
    reason: String,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    failed_at: Timestamp,
}

impl From<FailedDelivery> for ListedFailure {
    fn from(failed: FailedDelivery) -> Self {
        Self {
            id: failed.id,
            receiver: failed.receiver,
            event_id: failed.event_id,
            event_type: failed.event_type,
            reason: failed.reason,
            failed_at: failed.failed_at,
        }
    }
}

pub async fn list(
    _caller: Administrator,
    State(failures): State<Failures>,
) -> Result<Success<FailureList>, ApiError> {
    let newest = failures.newest(SHOWN).await?.into_iter();
    Ok(Success(FailureList {
        failures: newest.map(Into::into).collect(),
    }))
}

/// What becomes of a delivery.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Redelivered {
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["queued"])))]
    status: &'static str,
}

/// The event goes into the queue first: if the row can't be removed then, it can be delivered once more,
/// under the same id.
pub async fn redeliver(
    caller: Administrator,
    State(failures): State<Failures>,
    State(outbox): State<Outbox>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Accepted<Redelivered>, ApiError> {
    let id: Option<FailureId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let failed = failures.get(&id.ok_or(Reason::NotFound)?).await?;
    let failed = failed.ok_or(Reason::NotFound)?;
    audit::webhook_redelivered(caller.user.id, &failed);
    outbox.redeliver(failed.clone()).await?;
    let forgotten = failures.forget(&failed).await;
    forgotten.or_degraded("the row of a delivery that was given up");
    Ok(Accepted(Redelivered { status: "queued" }))
}

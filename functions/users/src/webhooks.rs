//! `GET /api/v1/webhooks/failures`, `POST /api/v1/webhooks/failures/{id}/redeliver`: events that were
//! not delivered.

use axum::extract::{Path, State, rejection::PathRejection};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    api::{
        Accepted, ApiError, Checks, Cursors, Input, Optional, Query, Reason, Success, page_limit,
    },
    edge::Administrator,
    webhooks::{DeliveryId, FailedDelivery, FailurePosition, Failures, Outbox},
};

use crate::audit;

/// The list's name in cursors.
const LIST: &str = "webhook-failures";

/// The query of a page.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "FailuresQuery")
)]
#[serde(deny_unknown_fields)]
pub struct RawFailuresQuery {
    /// Deliveries on a page.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "usize", range(min = 1, max = shared::api::MAX_PAGE_LIMIT), extend("default" = shared::api::DEFAULT_PAGE_LIMIT)))]
    limit: Optional<String>,
    /// The `cursor` of the page before this one.
    #[serde(default)]
    cursor: Optional<String>,
    /// Those to this receiver only.
    #[serde(default)]
    receiver: Optional<String>,
}

/// Which deliveries are on this page.
pub struct FailuresQuery {
    limit: usize,
    cursor: Option<String>,
    receiver: Option<String>,
}

impl Input for FailuresQuery {
    type Raw = RawFailuresQuery;

    fn parse(raw: RawFailuresQuery, checks: &mut Checks) -> Option<Self> {
        Some(Self {
            limit: page_limit(raw.limit.0.as_deref(), checks)?,
            cursor: raw.cursor.0,
            receiver: raw.receiver.0,
        })
    }
}

/// Deliveries that were given up.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "FailedWebhookList")
)]
pub struct FailureList {
    /// The newest first. A page that is followed by another one can be short, or empty.
    failures: Vec<ListedFailure>,
    /// The cursor of the next page; none at the end.
    cursor: Option<String>,
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
    id: DeliveryId,
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
    caller: Administrator,
    State(failures): State<Failures>,
    State(cursors): State<Cursors>,
    Query(query): Query<FailuresQuery>,
) -> Result<Success<FailureList>, ApiError> {
    let context = (caller.user.id, &query.receiver);
    let after: Option<FailurePosition> = match &query.cursor {
        Some(cursor) => Some(cursors.read(LIST, &context, cursor)?),
        None => None,
    };
    let receiver = query.receiver.as_deref();
    let page = failures.page(query.limit, receiver, after.as_ref()).await?;
    let cursor = page
        .next
        .map(|position| cursors.sign(LIST, &context, &position));
    Ok(Success(FailureList {
        failures: page.failures.into_iter().map(Into::into).collect(),
        cursor: cursor.transpose()?,
    }))
}

/// What becomes of a delivery.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Redelivered {
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["queued"])))]
    status: &'static str,
}

/// The row stays until the receiver has the event. Asked for twice, it can be delivered twice, under the
/// same id.
pub async fn redeliver(
    caller: Administrator,
    State(failures): State<Failures>,
    State(outbox): State<Outbox>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Accepted<Redelivered>, ApiError> {
    let id: Option<DeliveryId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let failed = failures.get(&id.ok_or(Reason::NotFound)?).await?;
    let failed = failed.ok_or(Reason::NotFound)?;
    outbox.redeliver(failed.clone()).await?;
    audit::webhook_redelivered(caller.user.id, &failed);
    Ok(Accepted(Redelivered { status: "queued" }))
}

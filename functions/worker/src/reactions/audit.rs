//! The audit trail: what the changes of a user's rows say happened to the account.

mod sessions;
mod users;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use shared::{
    accounts::{DELETION, MERGE},
    audit::{AuditEvent, AuditKind, AuditTrail},
    changes::{Change, Images, Reaction, ReactionError, Row, SagaImage},
    config::audit_retention,
    ids::UserId,
    instance::Instance,
    saga::{Outcome, SagaId},
    users::Consent,
};

/// The reaction.
pub struct Audit {
    trail: AuditTrail,
    retention: Duration,
}

impl Audit {
    pub fn new(instance: &Instance) -> Self {
        Self {
            trail: instance.audit_trail(),
            retention: audit_retention(instance.env()),
        }
    }

    async fn write(&self, change: &Change) -> Result<(), ReactionError> {
        for (user, event) in events(change) {
            if self
                .trail
                .append(user, &event, &change.id, self.retention)
                .await?
            {
                log(user, &event);
            }
        }
        if let Some(user) = deleted(change) {
            tracing::info!(activity = "account_deleted", user_id = %user, change = change.id, "activity");
        }
        Ok(())
    }
}

impl Reaction for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        self.write(change).boxed()
    }
}

/// Once for each entry, unless the process ends in between.
fn log(user: UserId, event: &AuditEvent) {
    let AuditEvent { event, at, .. } = event;
    tracing::info!(activity = event.as_str(), user_id = %user, %at, "activity");
}

/// What a change says happened, and to whom.
fn events(change: &Change) -> Vec<(UserId, AuditEvent)> {
    match &change.row {
        Row::User { id, images } => {
            let events = users::events(*id, images).into_iter();
            events.map(|event| (*id, event)).collect()
        }
        Row::Session { user, images, .. } => {
            let event = sessions::event(change, images);
            event.map(|event| (*user, event)).into_iter().collect()
        }
        Row::Consent { user, images } => {
            let event = consent(images);
            event.map(|event| (*user, event)).into_iter().collect()
        }
        Row::Saga { id, images } => merge(id, images).into_iter().collect(),
        Row::Config(_) | Row::Other(_) => Vec::new(),
    }
}

/// An agreement that a merge brought along keeps its time, and is one of the account that has it now.
fn consent(images: &Images<Consent>) -> Option<AuditEvent> {
    let new = images.new.as_ref()?;
    let (kind, at, app_id) = match &images.old {
        None => (AuditKind::ConsentGiven, new.agreed_at, Some(&new.app_id)),
        Some(old) if old.withdrawn_at.is_none() => {
            let app_id = new.withdrawn_app_id.as_ref();
            (AuditKind::ConsentWithdrawn, new.withdrawn_at?, app_id)
        }
        Some(_) => return None,
    };
    Some(AuditEvent {
        app_id: app_id.cloned(),
        document: Some(new.document.clone()),
        version: Some(new.version),
        ..AuditEvent::new(kind, at)
    })
}

/// The image of a saga of this kind before it ended, and when it was done.
fn done<'a>(images: &'a Images<SagaImage>, kind: &str) -> Option<(&'a SagaImage, Timestamp)> {
    let (old, new) = (images.old.as_ref()?, images.new.as_ref()?);
    let has_ended = old.entry.outcome.is_none() && new.entry.outcome == Some(Outcome::Done);
    (has_ended && new.entry.kind == kind).then_some((old, new.entry.updated_at))
}

/// The survivor of a merge that is done. The trail of the other account went with it.
fn merge(id: &SagaId, images: &Images<SagaImage>) -> Option<(UserId, AuditEvent)> {
    let (before, at) = done(images, MERGE)?;
    let survivor = before.hidden.subject.as_ref()?.into?;
    let event = AuditEvent {
        saga: Some(id.clone()),
        ..AuditEvent::new(AuditKind::AccountMerged, at)
    };
    Some((survivor, event))
}

/// The user whose deletion is done: nothing is left where an entry could stand.
fn deleted(change: &Change) -> Option<UserId> {
    let Row::Saga { images, .. } = &change.row else {
        return None;
    };
    let (before, _) = done(images, DELETION)?;
    before.hidden.subject.as_ref()?.user
}

#[cfg(test)]
mod tests;

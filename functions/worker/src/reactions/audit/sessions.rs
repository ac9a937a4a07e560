//! What the change of a session says.

use shared::{
    audit::{AuditEvent, AuditKind},
    auth::{EndedBy, Session},
    changes::{Change, Images},
};

pub(super) fn event(change: &Change, images: &Images<Session>) -> Option<AuditEvent> {
    match (&images.old, &images.new) {
        (None, Some(opened)) => Some(AuditEvent {
            user_agent: opened.user_agent.clone(),
            ..of(opened, AuditKind::Login, opened.created_at)
        }),
        (Some(old), Some(new)) if old.revoked_at.is_none() => {
            let kind = match new.ended_by {
                Some(EndedBy::User) => AuditKind::Logout,
                Some(EndedBy::Reuse) => AuditKind::RefreshReused,
                // Earlier versions did not say who it was.
                None | Some(EndedBy::Service | EndedBy::Administrator | EndedBy::Unknown) => {
                    AuditKind::SessionEnded
                }
            };
            Some(AuditEvent {
                by: new.ended_by_id,
                ..of(new, kind, new.revoked_at?)
            })
        }
        (Some(old), None) => {
            // What had expired was deleted by DynamoDB, or would have been.
            let is_living = old.revoked_at.is_none() && old.ttl > change.at.as_second();
            let removed = || of(old, AuditKind::SessionRemoved, change.at);
            (is_living && !change.has_expired).then(removed)
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

fn of(session: &Session, kind: AuditKind, at: jiff::Timestamp) -> AuditEvent {
    AuditEvent {
        session: Some(session.id),
        app_id: Some(session.app_id.clone()),
        ..AuditEvent::new(kind, at)
    }
}

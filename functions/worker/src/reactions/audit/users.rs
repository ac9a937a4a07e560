//! What the change of a user's row says.

use shared::{
    accounts::AccountDeletion,
    audit::{AuditEvent, AuditKind},
    changes::{Images, UserImage},
    ids::UserId,
    users::Status,
};

pub(super) fn events(id: UserId, images: &Images<UserImage>) -> Vec<AuditEvent> {
    let (Some(old), Some(new)) = (&images.old, &images.new) else {
        return Vec::new();
    };
    let events = [role(old, new), status(id, old, new), phone(id, old, new)];
    events.into_iter().flatten().collect()
}

fn of(new: &UserImage, kind: AuditKind) -> AuditEvent {
    AuditEvent::new(kind, new.user.updated_at)
}

fn role(old: &UserImage, new: &UserImage) -> Option<AuditEvent> {
    let (from, to) = (old.user.role, new.user.role);
    (from != to).then(|| AuditEvent {
        from: Some(from.as_str().to_owned()),
        to: Some(to.as_str().to_owned()),
        by: new.hidden.changed_by,
        ..of(new, AuditKind::RoleChanged)
    })
}

fn status(id: UserId, old: &UserImage, new: &UserImage) -> Option<AuditEvent> {
    let (from, to) = (old.user.status, new.user.status);
    match (from, to) {
        _ if from == to => None,
        // A merge tells of itself when it is done.
        (_, Status::Barred) => {
            is_for_deletion(id, new).then(|| of(new, AuditKind::DeletionRequested))
        }
        (Status::Barred, _) => {
            is_for_deletion(id, old).then(|| of(new, AuditKind::DeletionCalledOff))
        }
        _ => Some(AuditEvent {
            from: Some(from.as_str().to_owned()),
            to: Some(to.as_str().to_owned()),
            by: new.hidden.changed_by,
            ..of(new, AuditKind::StatusChanged)
        }),
    }
}

/// Whether the account is barred to be deleted. Earlier versions did not say by what it is.
fn is_for_deletion(id: UserId, image: &UserImage) -> bool {
    let by = image.hidden.barred_by.as_ref();
    image.user.status == Status::Barred && by.is_none_or(|by| *by == AccountDeletion::id(id))
}

/// The number itself is in no entry.
fn phone(id: UserId, old: &UserImage, new: &UserImage) -> Option<AuditEvent> {
    let (before, after) = (&old.user.phone, &new.user.phone);
    // A deletion clears it with everything else.
    if before == after || is_for_deletion(id, new) {
        return None;
    }
    let kind = match after {
        Some(_) => AuditKind::PhoneBound,
        None => AuditKind::PhoneRemoved,
    };
    Some(of(new, kind))
}

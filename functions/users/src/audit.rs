//! Log lines of what administrators did. They hold ids and names of fields, no personal data.

use shared::{ids::UserId, messages::Message, request, saga::SagaId, webhooks::FailedDelivery};

/// A person was moved in.
pub fn moved_in(by: UserId, user: UserId) {
    tracing::info!(
        audit = "user_moved_in", administrator_id = %by, user_id = %user, request_id = request::id(),
        "an administrator moved a user in"
    );
}

/// A user was changed: these fields.
pub fn changed(by: UserId, user: UserId, fields: &[&str], version: u64) {
    tracing::info!(
        audit = "user_changed", administrator_id = %by, user_id = %user, fields = fields.join(","), version,
        request_id = request::id(), "an administrator changed a user"
    );
}

/// All sessions of a user were ended.
pub fn sessions_ended(by: UserId, user: UserId) {
    tracing::info!(
        audit = "user_sessions_ended", administrator_id = %by, user_id = %user, request_id = request::id(),
        "an administrator ended all sessions of a user"
    );
}

/// An account is deleted.
pub fn deleted(by: UserId, user: UserId) {
    tracing::info!(
        audit = "user_deleted", administrator_id = %by, user_id = %user, request_id = request::id(),
        "an administrator deletes an account"
    );
}

/// A saga was continued.
pub fn saga_resumed(by: UserId, saga: &SagaId) {
    tracing::info!(
        audit = "saga_resumed", administrator_id = %by, saga_id = %saga, request_id = request::id(),
        "an administrator continued a saga"
    );
}

/// An event is delivered once more.
pub fn webhook_redelivered(by: UserId, failed: &FailedDelivery) {
    let FailedDelivery {
        receiver, event_id, ..
    } = failed;
    tracing::info!(
        audit = "webhook_redelivered", administrator_id = %by, receiver, event_id, request_id = request::id(),
        "an administrator has an event delivered once more"
    );
}

/// A message to a user was ordered.
pub fn message_ordered(by: UserId, message: &Message) {
    let (user, id, kind) = (message.user, &message.id, message.content.kind().as_str());
    tracing::info!(
        audit = "message_ordered", administrator_id = %by, user_id = %user, message_id = %id, kind,
        request_id = request::id(), "an administrator has a message sent to a user"
    );
}

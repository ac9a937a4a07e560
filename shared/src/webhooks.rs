//! Webhooks: what happened, as events that receivers of an operator's are told of
//! (`docs/webhooks.md`). Events wait in a queue; the function `webhooks` delivers them.

mod event;
mod failures;
mod outbox;

pub use event::{Event, QueuedEvent, UnreadableMessage};
pub use failures::{FailedDelivery, FailureId, Failures, NotAFailureId};
pub use outbox::{Outbox, OutboxError};

//! Webhooks: what happened, as events that receivers of an operator's are told of
//! (`docs/webhooks.md`). New events pass through a queue; deliveries that have to wait are rows. The function
//! `webhooks` delivers both.

mod delivery;
mod event;
mod failures;
mod outbox;
mod pauses;
mod pending;

pub use delivery::{DeliveryId, InvalidDeliveryId};
pub use event::{Event, QueuedEvent, UnreadableMessage};
pub use failures::{FailedDelivery, FailurePage, FailurePosition, Failures};
pub use outbox::{Outbox, OutboxError};
pub use pauses::ReceiverPauses;
pub use pending::{DuePage, PendingDeliveries, PendingDelivery};

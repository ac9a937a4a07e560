//! Messages to users (`docs/messages.md`): subscribe messages, which a user agreed to receive once
//! each, and replies of customer service. A message is a row, which says how far it is; the function
//! `messages` sends it. Nothing is sent twice: who sends one has claimed its row, and a claim that
//! ran out is not taken over.

mod claim;
mod content;
mod customer_service;
mod due;
mod grants;
mod id;
mod message;
mod queue;
mod request;
mod settle;
mod status;
mod store;

pub use claim::{ClaimOutcome, Claimed};
pub use content::{Content, SubscribeContent};
pub use due::DuePage;
pub use grants::{Grant, GrantRequest, Grants, GrantsError};
pub use id::{IdempotencyKey, MessageId};
pub use message::Message;
pub use queue::{QueueEntry, UnreadableEntry};
pub use request::{MessageRequest, MessageRules, RawMessageRequest};
pub use settle::Ending;
pub use status::{MessageKind, MessageStatus};
pub use store::{Creation, Messages, Position};

//! What changed in the table, as its stream tells it, and what reacts to it.
//!
//! A stream says each change at least once: possibly twice, late by as much as a day, and after a
//! failure from an earlier one on again. Of one row the first deliveries are in order; a repeated one
//! can come after a later one. So a [`Reaction`] must be idempotent and must not take the images of a
//! [`Change`] for the row as it is now.
//!
//! A record that can't be read is not repeated, because it would keep all later ones of its shard
//! waiting and be as unreadable then: it is logged and counted. The same holds for a reaction that says
//! that another attempt would not help.

mod batch;
mod filter;
mod reaction;
mod record;
mod row;
mod unreadable;

pub use batch::{Batch, Failures};
pub use filter::wakes_worker;
pub use reaction::{Reaction, ReactionError, Reactions, RecordOutcome};
pub use record::{Change, Group, Record, RowKey};
pub use row::{
    ConfigKeyText, HiddenFields, HiddenSaga, Images, Row, SagaImage, SagaSubject, UserImage,
};
pub use unreadable::Unreadable;

#[cfg(test)]
mod tests;

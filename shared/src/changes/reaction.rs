//! What reacts to changes.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use thiserror::Error;
use tokio::time::timeout_at;

use super::{Change, Record, RowKey};
use crate::{
    dynamo::DynamoError,
    request::deadline,
    telemetry::metrics::{self, StreamRecord},
};

/// Reacts to changes of the table, long after the request that made them.
///
/// Each change comes at least once. What a reaction does has to be idempotent by [`Change::id`] or by
/// what the rows say, and must not rely on the images being the row as it is now.
pub trait Reaction: Send + Sync + 'static {
    /// Its name in log lines.
    fn name(&self) -> &'static str;

    /// Reacts to a change, or does nothing if it is of no interest. The invocation's deadline holds for
    /// all that it calls.
    ///
    /// # Errors
    /// [`ReactionError`].
    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>>;

    /// Reacts to a change of which only the row's key can be read: another version wrote the row. It is
    /// skipped whatever comes of this.
    ///
    /// # Errors
    /// [`ReactionError`].
    fn react_to_key<'a>(&'a self, key: &'a RowKey) -> BoxFuture<'a, Result<(), ReactionError>> {
        let _ = key;
        ready(Ok(())).boxed()
    }
}

/// Why a reaction did not do what it does. The texts are logged: they hold no content of rows.
#[derive(Debug, Error)]
pub enum ReactionError {
    /// Something can't be used now: the change comes again, and with it all that follow in its shard.
    #[error("{0}")]
    Unavailable(String),
    /// It can never be done: the change is given up.
    #[error("{0}")]
    Refused(String),
}

/// What DynamoDB refuses for what is asked is refused each time. What it refuses for who asks, or where,
/// an operator can put right.
impl From<DynamoError> for ReactionError {
    fn from(error: DynamoError) -> Self {
        if error.is_about_the_row() {
            Self::Refused(error.to_string())
        } else {
            Self::Unavailable(error.to_string())
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Every reaction did what it does.
    Handled,
    /// It can't be read, or a reaction gave it up: logged and counted, and not repeated.
    Skipped,
    /// A reaction asks for it again.
    Failed,
}

/// The list of reactions. Cheap to clone.
#[derive(Clone)]
pub struct Reactions(Arc<[Arc<dyn Reaction>]>);

impl Reactions {
    /// These; each reacts to each change, whatever becomes of the others.
    #[must_use]
    pub fn new(list: Vec<Arc<dyn Reaction>>) -> Self {
        Self(list.into())
    }

    /// Has all react to a record.
    pub async fn react(&self, record: &Record) -> RecordOutcome {
        let is_late = deadline::remaining().is_some_and(|left| left.is_zero());
        let outcome = match &record.change {
            Err(unreadable) => {
                let (sequence, key) = (record.sequence.as_deref(), record.group);
                tracing::error!(why = %unreadable, sequence, %key, "a change is skipped");
                self.react_to_key(record).await;
                RecordOutcome::Skipped
            }
            Ok(_) if is_late => RecordOutcome::Failed,
            Ok(change) => self.react_to(record, change).await,
        };
        metrics::stream_record(match outcome {
            RecordOutcome::Handled => StreamRecord::Handled,
            RecordOutcome::Skipped => StreamRecord::Skipped,
            RecordOutcome::Failed => StreamRecord::Failed,
        });
        outcome
    }

    async fn react_to_key(&self, record: &Record) {
        let Some(key) = &record.key else { return };
        for reaction in self.0.iter() {
            if let Err(error) = guarded(reaction.react_to_key(key)).await {
                let (reaction, why) = (reaction.name(), error.to_string());
                let (sequence, key) = (record.sequence.as_deref(), record.group);
                tracing::error!(reaction, why, sequence, %key, "a reaction to a change failed");
            }
        }
    }

    async fn react_to(&self, record: &Record, change: &Change) -> RecordOutcome {
        let mut outcome = RecordOutcome::Handled;
        for reaction in self.0.iter() {
            let Err(error) = guarded(reaction.react(change)).await else {
                continue;
            };
            let (sequence, key, reaction) =
                (record.sequence.as_deref(), record.group, reaction.name());
            match error {
                ReactionError::Unavailable(why) => {
                    tracing::warn!(reaction, why, sequence, %key, "a reaction to a change failed");
                    outcome = RecordOutcome::Failed;
                }
                ReactionError::Refused(why) => {
                    tracing::error!(reaction, why, sequence, %key, "a change is skipped");
                    if outcome == RecordOutcome::Handled {
                        outcome = RecordOutcome::Skipped;
                    }
                }
            }
        }
        outcome
    }
}

/// A reaction within the invocation's time, whose panic is its own.
async fn guarded(reaction: BoxFuture<'_, Result<(), ReactionError>>) -> Result<(), ReactionError> {
    let caught = AssertUnwindSafe(reaction).catch_unwind();
    let reacted = match deadline::current() {
        Some(end) => timeout_at(end, caught).await.map_err(|_| {
            ReactionError::Unavailable("the time of the invocation is up".to_owned())
        })?,
        None => caught.await,
    };
    // It would panic again. The hook has logged where.
    reacted.unwrap_or_else(|_| Err(ReactionError::Refused("panic".to_owned())))
}

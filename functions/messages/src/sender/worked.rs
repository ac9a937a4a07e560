//! What becomes of an attempt.

use std::time::Duration;

use shared::{
    dynamo::DynamoError,
    ids::UserId,
    messages::{MessageId, MessageStatus},
    request,
    telemetry::metrics::{self, MessageOutcome},
    webhooks::OutboxError,
};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// It is at its end.
    Ended(MessageStatus),
    /// The same, and this attempt did not ask WeChat.
    Unasked(MessageStatus),
    /// It was at its end, of which nobody had been told.
    Told,
    /// It is at its end, because WeChat did not say whether it took it.
    Unanswered,
    /// It waits. Whether what it waits for is the same for all messages of its kind.
    Waits { is_general: bool },
    /// Its mini-program sends too many: there is room in this time. Nothing was written.
    Limited(Duration),
    /// Somebody else has it, or it is not due, or there is no time for it. Nothing was written.
    Left,
}

impl Worked {
    pub(super) fn unasked(self) -> Self {
        match self {
            Self::Ended(status) => Self::Unasked(status),
            worked => worked,
        }
    }
}

/// A store failed. The message is as it was, or its claim runs out, or its end is told later.
#[derive(Debug)]
pub enum SendError {
    Table(DynamoError),
    Announcement(OutboxError),
}

impl SendError {
    /// For the log and the metrics.
    pub fn report(&self, user_id: UserId, message_id: &MessageId) {
        let why = match self {
            Self::Table(error) => error.to_string(),
            Self::Announcement(error) => error.to_string(),
        };
        tracing::error!(
            request_id = request::id(),
            %user_id,
            %message_id,
            why,
            "a message can't be moved on"
        );
        metrics::message(MessageOutcome::NotStored);
    }
}

impl From<DynamoError> for SendError {
    fn from(error: DynamoError) -> Self {
        Self::Table(error)
    }
}

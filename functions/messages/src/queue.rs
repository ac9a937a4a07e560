//! Messages of the queue.

use futures_util::future::join_all;
use shared::{
    messages::{Creation, Message, MessageRequest, MessageRules, QueueEntry},
    queue::QueueRecord,
    request,
    runtime::Handled,
    telemetry::metrics::{self, MessageOutcome},
};

use crate::sender::{SendError, Sender, Worked};

/// An order for an account that is barred comes back for as long as it was received less often: half an
/// hour, by the queue's six minutes. A merge takes seconds; a deletion that can be called off takes days.
const LAST_RECEIPT: u32 = 6;

/// Takes messages of the queue.
pub struct Intake {
    sender: Sender,
    rules: MessageRules,
}

/// Whether a message of the queue is done. One that is not comes back; after many times the queue moves
/// it to its dead letters.
type IsDone = bool;

impl Intake {
    pub fn new(sender: Sender, rules: MessageRules) -> Self {
        Self { sender, rules }
    }

    pub async fn handle_all(&self, records: Vec<QueueRecord>) -> Handled {
        let each = records.iter().map(|record| self.handle_one(record));
        let are_done = join_all(each).await;
        let is_complete = are_done.iter().all(|is_done| *is_done);
        let messages = records.into_iter().zip(are_done);
        Handled::messages("messages", messages, is_complete)
    }

    async fn handle_one(&self, record: &QueueRecord) -> IsDone {
        let entry = match QueueEntry::read(&record.body, &self.rules) {
            Ok(entry) => entry,
            Err(error) => {
                let (message_id, why) = (&record.message_id, error.to_string());
                tracing::error!(
                    request_id = request::id(),
                    message_id,
                    why,
                    "an unreadable message"
                );
                metrics::message(MessageOutcome::Unreadable);
                return false;
            }
        };
        let (user, message) = match &entry {
            QueueEntry::Recorded { user, message } => (*user, message.clone()),
            QueueEntry::Order(order) => (order.user, order.id()),
        };
        let is_last = record.receive_count() >= LAST_RECEIPT;
        match self.work_on(entry, is_last).await {
            Ok(is_done) => is_done,
            Err(error) => {
                error.report(user, &message);
                false
            }
        }
    }

    /// What can't be sent now stays in the table, for the schedule.
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        if let Worked::Limited(_) = self.sender.work_on(message).await? {
            metrics::message(MessageOutcome::Limited);
        }
        Ok(())
    }

    async fn work_on(&self, entry: QueueEntry, is_last: bool) -> Result<IsDone, SendError> {
        match entry {
            QueueEntry::Recorded { user, message } => {
                // It may be gone, with its account.
                if let Some(message) = self.sender.find(user, &message).await? {
                    self.send(&message).await?;
                }
                Ok(true)
            }
            QueueEntry::Order(order) => self.take(&order, is_last).await,
        }
    }

    /// Takes an order; `is_last` if it must not come back.
    async fn take(&self, order: &MessageRequest, is_last: bool) -> Result<IsDone, SendError> {
        match self.sender.record(order).await? {
            Creation::Created(message) | Creation::Existing(message) => {
                self.send(&message).await?;
            }
            Creation::KeyReused => refused(order, "idempotency_key_reused"),
            Creation::Barred if !is_last => {
                let (user_id, message_id) = (order.user, order.id());
                tracing::info!(
                    request_id = request::id(), %user_id, %message_id, reason = "account_barred",
                    "an order of a message waits"
                );
                return Ok(false);
            }
            Creation::NoUser | Creation::Barred | Creation::Unreachable => {
                refused(order, "user_unreachable");
                self.sender.end_order(order, "user_unreachable").await?;
            }
        }
        Ok(true)
    }
}

/// Nobody waits for an answer, so the log has it.
fn refused(order: &MessageRequest, reason: &'static str) {
    let (user_id, message_id) = (order.user, order.id());
    tracing::warn!(
        request_id = request::id(), %user_id, %message_id, reason,
        "an order of a message is refused"
    );
}

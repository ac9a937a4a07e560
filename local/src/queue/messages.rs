//! The messages of a queue.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::answer::SqsError;

/// Bytes of a message at most.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Messages at most: a real queue has no limit, this process's memory has.
const MAX_MESSAGES: usize = 100_000;
/// How long a message is kept: 14 days, in milliseconds.
const KEPT: i64 = 14 * 24 * 3600 * 1000;
/// How long a message can be delayed (seconds).
const LONGEST_DELAY: u64 = 900;

/// Messages, in the order in which they were sent. Times are milliseconds since the epoch.
#[derive(Default)]
pub(super) struct Messages(Mutex<State>);

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    /// Messages and receipts so far.
    count: u64,
}

struct Message {
    id: u64,
    body: String,
    sent_at: i64,
    visible_at: i64,
    received: u32,
    /// The number of the last receipt.
    receipt: Option<u64>,
}

impl Messages {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// The id of the message.
    pub(super) fn send(&self, body: &str, delay: u64, now: i64) -> Result<String, SqsError> {
        if body.is_empty() || body.len() > MAX_BODY || delay > LONGEST_DELAY {
            return Err(SqsError::INVALID);
        }
        let mut state = self.lock();
        state
            .messages
            .retain(|message| message.sent_at > now - KEPT);
        if state.messages.len() >= MAX_MESSAGES {
            return Err(SqsError::FULL);
        }
        let id = state.next();
        state.messages.push(Message {
            id,
            body: body.to_owned(),
            sent_at: now,
            visible_at: now + milliseconds(delay),
            received: 0,
            receipt: None,
        });
        Ok(id.to_string())
    }

    /// At most `most` messages, as `ReceiveMessage` answers them; they are hidden for this many seconds.
    pub(super) fn receive(&self, most: usize, hidden: u64, now: i64) -> Vec<Value> {
        let mut state = self.lock();
        let mut count = state.count;
        let visible = state.messages.iter_mut();
        let visible = visible.filter(|it| it.visible_at <= now && it.sent_at > now - KEPT);
        let taken = visible.take(most).map(|message| {
            count += 1;
            message.received += 1;
            message.receipt = Some(count);
            message.visible_at = now + milliseconds(hidden);
            json!({
                "MessageId": message.id.to_string(),
                "ReceiptHandle": format!("{}-{count}", message.id),
                "Body": message.body,
                "Attributes": {
                    "ApproximateReceiveCount": message.received.to_string(),
                    "SentTimestamp": message.sent_at.to_string(),
                },
            })
        });
        let taken = taken.collect();
        state.count = count;
        taken
    }

    /// Deletes a message, also twice. By an earlier receipt nothing is deleted: another has the message.
    pub(super) fn delete(&self, receipt: &str) -> Result<(), SqsError> {
        let (id, number) = parse(receipt)?;
        let mut state = self.lock();
        state
            .messages
            .retain(|message| message.id != id || message.receipt != Some(number));
        Ok(())
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

fn parse(receipt: &str) -> Result<(u64, u64), SqsError> {
    let parts = receipt.split_once('-');
    let numbers = parts.and_then(|(id, number)| Some((id.parse().ok()?, number.parse().ok()?)));
    numbers.ok_or(SqsError::INVALID_RECEIPT)
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(message: &Value) -> String {
        message["ReceiptHandle"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_message_is_hidden_while_it_is_handled_and_comes_back() {
        let messages = Messages::default();
        messages.send("a", 0, 0).unwrap();
        let first = messages.receive(10, 30, 0);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0]["Attributes"]["ApproximateReceiveCount"], "1");
        assert!(messages.receive(10, 30, 29_999).is_empty());
        let second = messages.receive(10, 30, 30_000);
        assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
        assert_eq!(second[0]["Attributes"]["SentTimestamp"], "0");
        messages.delete(&receipt(&first[0])).unwrap();
        assert_eq!(messages.len(), 1);
        messages.delete(&receipt(&second[0])).unwrap();
        assert_eq!(messages.len(), 0);
        messages.delete(&receipt(&second[0])).unwrap();
    }

    #[test]
    fn a_message_can_be_delayed() {
        let messages = Messages::default();
        messages.send("a", 5, 0).unwrap();
        assert!(messages.receive(1, 30, 4_999).is_empty());
        assert_eq!(messages.receive(1, 30, 5_000).len(), 1);
        assert_eq!(messages.delete("x"), Err(SqsError::INVALID_RECEIPT));
    }

    #[test]
    fn invalid_messages_are_rejected() {
        let messages = Messages::default();
        let large = "x".repeat(MAX_BODY + 1);
        for (body, delay) in [("", 0), (large.as_str(), 0), ("a", 901)] {
            assert_eq!(messages.send(body, delay, 0), Err(SqsError::INVALID));
        }
    }

    #[test]
    fn a_message_is_kept_for_14_days() {
        let messages = Messages::default();
        messages.send("a", 0, 0).unwrap();
        assert_eq!(messages.receive(1, 0, KEPT - 1).len(), 1);
        assert!(messages.receive(1, 0, KEPT).is_empty());
    }
}

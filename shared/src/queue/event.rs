//! The events by which Lambda hands over messages, and its answer
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Messages of a queue.
#[derive(Debug, Deserialize)]
pub struct QueueEvent {
    /// At least one.
    #[serde(rename = "Records")]
    pub records: Vec<QueueRecord>,
}

/// A message. `Debug` shows no content.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueRecord {
    /// The queue's id of it.
    pub message_id: String,
    /// With what it is deleted: another one each time that it is received.
    #[serde(default)]
    pub receipt_handle: String,
    /// Its content.
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    attributes: Attributes,
}

/// What the queue says of a message. Numbers are texts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attributes {
    approximate_receive_count: Option<String>,
    sent_timestamp: Option<String>,
}

impl QueueRecord {
    /// How often it was received, this time included.
    #[must_use]
    pub fn receive_count(&self) -> u32 {
        let count = self.attributes.approximate_receive_count.as_deref();
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// When it was sent to the queue, if the queue says so.
    #[must_use]
    pub fn sent_at(&self) -> Option<Timestamp> {
        let milliseconds = self.attributes.sent_timestamp.as_deref()?.parse().ok()?;
        Timestamp::from_millisecond(milliseconds).ok()
    }
}

impl std::fmt::Debug for QueueRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueRecord")
            .field("message_id", &self.message_id)
            .field("receive_count", &self.receive_count())
            .finish_non_exhaustive()
    }
}

/// Which messages of an event are not done: the queue keeps those, and deletes the others.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl BatchResponse {
    /// Whether the message of this id is done.
    #[must_use]
    pub fn is_done(&self, message_id: &str) -> bool {
        let failures = &self.batch_item_failures;
        failures.iter().all(|it| it.item_identifier != message_id)
    }
}

/// The ids of the messages that are not done.
impl FromIterator<String> for BatchResponse {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> Self {
        let failures = ids.into_iter();
        let failures = failures.map(|item_identifier| ItemFailure { item_identifier });
        Self {
            batch_item_failures: failures.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in Lambda's documentation.
    const EVENT: &str = r#"{"Records":[{
        "messageId":"059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle":"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body":"Test message.",
        "attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"1545082649183",
            "SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"1545082649185"},
        "messageAttributes":{},
        "md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource":"aws:sqs",
        "eventSourceARN":"arn:aws:sqs:us-east-2:123456789012:my-queue",
        "awsRegion":"us-east-2"}]}"#;

    #[test]
    fn an_event_is_read_as_lambda_writes_it() {
        let event: QueueEvent = serde_json::from_str(EVENT).unwrap();
        let record = &event.records[0];
        assert_eq!(record.receive_count(), 2);
        assert_eq!(
            record.sent_at().unwrap().as_millisecond(),
            1_545_082_649_183
        );
        assert!(!format!("{event:?}").contains("Test message"));
    }

    #[test]
    fn what_a_queue_leaves_out_has_a_value() {
        let record: QueueRecord = serde_json::from_str(r#"{"messageId":"1"}"#).unwrap();
        assert_eq!((record.receive_count(), record.sent_at()), (1, None));
    }

    #[test]
    fn the_answer_names_what_is_not_done() {
        let answer: BatchResponse = ["a".to_owned()].into_iter().collect();
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#
        );
        assert!(!answer.is_done("a") && answer.is_done("b"));
        assert_eq!(
            serde_json::to_string(&BatchResponse::default()).unwrap(),
            r#"{"batchItemFailures":[]}"#
        );
    }
}

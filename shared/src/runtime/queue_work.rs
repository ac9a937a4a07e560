//! What functions have in common that work on the messages of a queue, and that a schedule asks for what is
//! due.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Handled, InvocationError};
use crate::queue::{BatchResponse, QueueEvent, QueueRecord};

/// An event of such a function.
#[derive(Debug)]
pub enum QueueWork {
    /// Messages of its queue, at least one.
    Messages(Vec<QueueRecord>),
    /// The schedule asks for what is due.
    Due,
}

/// What the schedule of `template.yaml` sends.
#[derive(Deserialize)]
struct Scheduled {
    task: String,
}

impl QueueWork {
    /// Reads an event of a function whose schedule asks for this task.
    ///
    /// # Errors
    /// It is neither, or asks for another task. The error does not quote it.
    pub fn read(event: &str, task: &str) -> Result<Self, InvocationError> {
        if let Ok(event) = serde_json::from_str::<QueueEvent>(event) {
            return Ok(Self::Messages(event.records));
        }
        match serde_json::from_str::<Scheduled>(event) {
            Ok(scheduled) if scheduled.task == task => Ok(Self::Due),
            _ => Err(InvocationError(
                "neither messages of a queue nor a task".to_owned(),
            )),
        }
    }
}

impl Handled {
    /// Messages of a queue, each with whether it is done: the others come back. `is_complete` says whether
    /// none has failed.
    #[must_use]
    pub fn messages(
        route: &'static str,
        messages: impl Iterator<Item = (QueueRecord, bool)>,
        is_complete: bool,
    ) -> Self {
        let kept = messages.filter(|(_, is_done)| !is_done);
        let answer: BatchResponse = kept.map(|(record, _)| record.message_id).collect();
        Self {
            route,
            answer: json!(answer),
            is_complete,
        }
    }

    /// What was due, with a report of it.
    ///
    /// # Errors
    /// Something has failed. Nobody reads the answer to a schedule: as an error, Lambda counts it for the
    /// alarm.
    pub fn due<R: Debug + Serialize>(
        report: &R,
        has_failed: bool,
    ) -> Result<Self, InvocationError> {
        if has_failed {
            return Err(InvocationError(format!("what was due: {report:?}")));
        }
        Ok(Self {
            route: "schedule",
            answer: json!(report),
            is_complete: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Result<QueueWork, String> {
        QueueWork::read(event, "retry").map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_is_messages_or_the_task() {
        let messages = read(r#"{"Records":[{"messageId":"a","body":"b"}]}"#).unwrap();
        assert!(matches!(messages, QueueWork::Messages(records) if records.len() == 1));
        assert!(matches!(read(r#"{"task":"retry"}"#), Ok(QueueWork::Due)));
        for other in [r#"{"task":"hunter2"}"#, r#"{"hunter2":1}"#, "hunter2", ""] {
            assert!(!read(other).unwrap_err().contains("hunter2"), "{other}");
        }
    }

    #[test]
    fn messages_that_are_not_done_come_back() {
        let event = r#"{"Records":[{"messageId":"a"},{"messageId":"b"}]}"#;
        let Ok(QueueWork::Messages(records)) = read(event) else {
            panic!("no messages");
        };
        let messages = records.into_iter().zip([true, false]);
        let handled = Handled::messages("hooks", messages, false);
        let expected = json!({"batchItemFailures": [{"itemIdentifier": "b"}]});
        assert_eq!(handled.answer, expected);
    }

    #[test]
    fn what_has_failed_is_an_error_with_the_report() {
        assert_eq!(Handled::due(&3, false).unwrap().answer, json!(3));
        let error = Handled::due(&"two of three", true).unwrap_err();
        assert_eq!(error.to_string(), "what was due: \"two of three\"");
    }
}

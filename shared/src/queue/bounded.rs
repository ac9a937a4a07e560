//! A queue whose messages have another place to go when it fails.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Queue, QueueError};
use crate::request::deadline;

/// How long the queue may take for a message.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the queue is not called after it failed.
const COOLDOWN: Duration = Duration::from_secs(30);

/// A queue that holds nobody up: a message waits for it two seconds at most, and the next ones not at
/// all for a time after it failed. Cheap to clone.
#[derive(Clone)]
pub struct BoundedQueue {
    queue: Queue,
    /// Until when the queue is not called.
    skipped_until: Arc<Mutex<Option<Instant>>>,
}

impl BoundedQueue {
    /// In front of this queue.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Self {
            queue,
            skipped_until: Arc::default(),
        }
    }

    /// The queue itself, for calls that have as long as their request.
    #[must_use]
    pub fn unbounded(&self) -> &Queue {
        &self.queue
    }

    /// Sends one message. After an error it may be in the queue.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send(&self, message: String) -> Result<(), QueueError> {
        if self.is_skipped() {
            return Err(QueueError::Unavailable("it failed a moment ago".into()));
        }
        let end = Instant::now() + deadline::cap(TIMEOUT);
        let messages = [message];
        let sent = deadline::scope(Some(end), self.queue.send(&messages)).await;
        if sent.is_err() {
            *self.skipped_until() = Some(Instant::now() + COOLDOWN);
        }
        sent
    }

    fn is_skipped(&self) -> bool {
        self.skipped_until()
            .is_some_and(|until| Instant::now() < until)
    }

    fn skipped_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.skipped_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

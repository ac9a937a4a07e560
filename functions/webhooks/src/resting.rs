//! Receivers that did not answer are left alone for a moment, by this instance: the others' events would
//! wait behind theirs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// How long. Deliveries in this time fail without an attempt, and are tried again like others that
/// failed.
const REST: Duration = Duration::from_secs(20);

/// The receivers that rest.
#[derive(Default)]
pub struct Resting(Mutex<HashMap<String, Timestamp>>);

impl Resting {
    /// Whether this one rests.
    pub fn has(&self, receiver: &str, now: Timestamp) -> bool {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = resting.get(receiver);
        since.is_some_and(|since| now.duration_since(*since).unsigned_abs() < REST)
    }

    /// It did not answer.
    pub fn begin(&self, receiver: &str, now: Timestamp) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.insert(receiver.to_owned(), now);
    }

    /// It answered.
    pub fn end(&self, receiver: &str) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.remove(receiver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_rests_until_it_answers_or_the_time_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let resting = Resting::default();
        assert!(!resting.has("a", at(0)));
        resting.begin("a", at(0));
        assert!(resting.has("a", at(19)) && !resting.has("b", at(19)));
        assert!(!resting.has("a", at(20)));
        resting.begin("a", at(30));
        resting.end("a");
        assert!(!resting.has("a", at(31)));
    }
}

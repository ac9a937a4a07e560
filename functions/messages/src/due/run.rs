//! What became of the messages of one mini-program so far, and whether others are worth a try.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use shared::{
    messages::{DuePage, MessageKind, MessageStatus},
    telemetry::metrics::{self, MessageOutcome},
};

use crate::sender::Worked;

/// A mini-program's messages of a kind are left until the next time after so many of them in a row that
/// WeChat did not take, for reasons that all of them have.
const MAX_FAILURES: usize = 10;
/// The same after so many in a row that it did not answer: each of them is lost, with its consent. So many
/// are sent before the others.
pub(super) const MAX_DOUBTS: usize = 3;

/// What became of the messages that were due.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct DueReport {
    pub sent: usize,
    pub refused: usize,
    pub failed: usize,
    pub unconfirmed: usize,
    /// They wait for another attempt.
    pub waiting: usize,
    /// This version can't read their rows.
    pub unreadable: usize,
    /// A store of this service's failed.
    pub not_stored: usize,
}

/// What became of the messages of one mini-program so far.
#[derive(Default)]
pub(super) struct Run {
    sent: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
    unconfirmed: AtomicUsize,
    waiting: AtomicUsize,
    unreadable: AtomicUsize,
    not_stored: AtomicUsize,
    /// WeChat's quotas are those of an API, which each kind has its own of.
    subscribe: InARow,
    customer_service: InARow,
}

/// Messages of one kind that WeChat did not take.
#[derive(Default)]
pub(super) struct InARow {
    failures: AtomicUsize,
    /// Those among them that are in doubt.
    doubts: AtomicUsize,
}

impl InARow {
    pub(super) fn is_over(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MAX_FAILURES
            || self.doubts.load(Ordering::Relaxed) >= MAX_DOUBTS
    }

    pub(super) fn record(&self, worked: Worked) {
        match worked {
            Worked::Waits { is_general: true } => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            Worked::Unanswered => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.doubts.fetch_add(1, Ordering::Relaxed);
            }
            Worked::Ended(MessageStatus::Sent | MessageStatus::Refused) => {
                self.failures.store(0, Ordering::Relaxed);
                self.doubts.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Run {
    pub(super) fn of(&self, kind: MessageKind) -> &InARow {
        match kind {
            MessageKind::Subscribe => &self.subscribe,
            MessageKind::CustomerService => &self.customer_service,
        }
    }

    /// Whether messages of one kind are left; of both.
    pub(super) fn are_over(&self) -> (bool, bool) {
        let over = (self.subscribe.is_over(), self.customer_service.is_over());
        (over.0 || over.1, over.0 && over.1)
    }

    pub(super) fn record(&self, kind: MessageKind, worked: Worked) {
        self.of(kind).record(worked);
        let counter = match worked {
            Worked::Ended(status) | Worked::Unasked(status) => match status {
                MessageStatus::Sent => &self.sent,
                MessageStatus::Refused => &self.refused,
                MessageStatus::Unconfirmed => &self.unconfirmed,
                _ => &self.failed,
            },
            Worked::Unanswered => &self.unconfirmed,
            Worked::Waits { .. } => &self.waiting,
            Worked::Told | Worked::Limited(_) | Worked::Left => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A store of this service's failed.
    pub(super) fn record_not_stored(&self) {
        self.not_stored.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that could not be read. A row of another version's stays until it expires, so it must not
    /// look like a fault of the table's.
    pub(super) fn record_unread(&self, page: &DuePage) {
        let each = [
            (
                &self.unreadable,
                page.unreadable,
                MessageOutcome::Unreadable,
            ),
            (&self.not_stored, page.missed, MessageOutcome::NotStored),
        ];
        for (counter, count, outcome) in each {
            counter.fetch_add(count, Ordering::Relaxed);
            (0..count).for_each(|_| metrics::message(outcome));
        }
    }

    pub(super) fn report(&self) -> DueReport {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        DueReport {
            sent: of(&self.sent),
            refused: of(&self.refused),
            failed: of(&self.failed),
            unconfirmed: of(&self.unconfirmed),
            waiting: of(&self.waiting),
            unreadable: of(&self.unreadable),
            not_stored: of(&self.not_stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS_TOO: Worked = Worked::Waits { is_general: true };
    const SENT: Worked = Worked::Ended(MessageStatus::Sent);

    /// Whether messages of a kind are left after these.
    fn is_over(worked: &[Worked]) -> bool {
        let run = Run::default();
        for worked in worked {
            run.record(MessageKind::Subscribe, *worked);
        }
        assert!(!run.of(MessageKind::CustomerService).is_over());
        let is_over = run.of(MessageKind::Subscribe).is_over();
        assert_eq!(run.are_over(), (is_over, false));
        is_over
    }

    #[test]
    fn messages_of_a_kind_are_left_after_ten_failures_in_a_row() {
        assert!(!is_over(&[WAITS_TOO; 9]));
        assert!(is_over(&[WAITS_TOO; 10]));
        let (nine, one) = ([WAITS_TOO; 9], [SENT]);
        assert!(!is_over(&[&nine[..], &one, &nine].concat()));
        let alone = Worked::Waits { is_general: false };
        assert!(!is_over(&[alone; 20]));
    }

    #[test]
    fn messages_of_a_kind_are_left_after_three_in_a_row_without_an_answer() {
        assert!(!is_over(&[Worked::Unanswered; 2]));
        assert!(is_over(&[Worked::Unanswered; 3]));
        let (two, one) = ([Worked::Unanswered; 2], [SENT]);
        assert!(!is_over(&[&two[..], &one, &two].concat()));
    }

    #[test]
    fn messages_that_wechat_was_not_asked_about_say_nothing_of_it() {
        assert!(!is_over(&[Worked::Unasked(MessageStatus::Unconfirmed); 20]));
        let (two, one) = (
            [Worked::Unanswered; 2],
            [Worked::Unasked(MessageStatus::Refused)],
        );
        assert!(is_over(&[&two[..], &one, &two].concat()));
    }

    #[test]
    fn a_run_is_over_when_both_kinds_are_left() {
        let run = Run::default();
        for kind in [MessageKind::Subscribe, MessageKind::CustomerService] {
            (0..3).for_each(|_| run.record(kind, Worked::Unanswered));
        }
        assert_eq!(run.are_over(), (true, true));
        assert_eq!(run.report().unconfirmed, 6);
    }
}

//! Messages that are due: those that wait for a time, those that no queue brought, and those whose sender
//! ended without a word. A schedule asks for this once a minute.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use serde::Serialize;
use shared::{
    dynamo::DynamoError,
    ids::AppId,
    messages::{DuePage, Message, MessageKind, MessageStatus},
    request,
    telemetry::metrics::{self, MessageOutcome},
};

use crate::sender::{SendError, Sender, Worked};

/// Rows that are read at once.
const PAGE: u16 = 64;
/// Messages of a mini-program that are sent at the same time.
const CONCURRENCY: usize = 16;
/// A mini-program's messages of a kind are left until the next time after so many of them in a row that
/// WeChat did not take, for reasons that all of them have.
const MAX_FAILURES: usize = 10;
/// The same after so many in a row that it did not answer: each of them is lost, with its consent. So many
/// are sent before the others.
const MAX_DOUBTS: usize = 3;
/// Pages that are looked through for messages of one kind while those of the other are left.
const LOOKED_THROUGH: usize = 16;
/// How often a message waits for the rate limit of its mini-program, and for how long at most each time.
const WAITS: usize = 30;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A message that is due for so long is worth a line in the log: more come than are sent, or nobody sends.
const BACKLOG: Duration = Duration::from_hours(1);

/// Sends messages that are due.
pub struct DueMessages {
    pub sender: Sender,
    /// The mini-programs whose messages it looks for.
    pub apps: Vec<AppId>,
}

/// What became of the messages that were due.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct DueReport {
    pub sent: usize,
    pub refused: usize,
    pub failed: usize,
    pub unconfirmed: usize,
    /// They wait for another attempt.
    pub waiting: usize,
    /// Their rows are none that this version can read.
    pub unreadable: usize,
    /// A store of this service's failed.
    pub not_stored: usize,
}

/// What became of the messages of one mini-program so far.
#[derive(Default)]
struct Run {
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
struct InARow {
    failures: AtomicUsize,
    /// Those among them that are in doubt.
    doubts: AtomicUsize,
}

impl InARow {
    fn is_over(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MAX_FAILURES
            || self.doubts.load(Ordering::Relaxed) >= MAX_DOUBTS
    }

    fn record(&self, worked: Worked) {
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
    fn of(&self, kind: MessageKind) -> &InARow {
        match kind {
            MessageKind::Subscribe => &self.subscribe,
            MessageKind::CustomerService => &self.customer_service,
        }
    }

    /// Whether messages of one kind are left; of both.
    fn are_over(&self) -> (bool, bool) {
        let over = (self.subscribe.is_over(), self.customer_service.is_over());
        (over.0 || over.1, over.0 && over.1)
    }

    fn record(&self, kind: MessageKind, worked: Worked) {
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

    /// Those that could not be read. A row of another version's stays until it expires, so it must not
    /// look like a fault of the table's.
    fn record_unread(&self, page: &DuePage) {
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

    fn report(&self) -> DueReport {
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

impl DueMessages {
    /// Sends what is due, until that is done or the time is up. Mini-programs don't wait for each other.
    pub async fn send(&self) -> DueReport {
        let each = self.apps.iter().map(|app| self.send_of(app));
        let mut all = DueReport::default();
        for report in join_all(each).await {
            all.sent += report.sent;
            all.refused += report.refused;
            all.failed += report.failed;
            all.unconfirmed += report.unconfirmed;
            all.waiting += report.waiting;
            all.unreadable += report.unreadable;
            all.not_stored += report.not_stored;
        }
        all
    }

    async fn send_of(&self, app: &AppId) -> DueReport {
        let run = Run::default();
        if let Err(error) = self.send_all(app, &run).await {
            let why = error.to_string();
            tracing::error!(
                request_id = request::id(), app_id = %app, why,
                "messages that are due can't be found"
            );
            metrics::message(MessageOutcome::NotStored);
            run.not_stored.fetch_add(1, Ordering::Relaxed);
        }
        run.report()
    }

    async fn send_all(&self, app: &AppId, run: &Run) -> Result<(), DynamoError> {
        let (mut after, mut is_first, mut looked_through) = (None, true, 0);
        while self.sender.has_time() && looked_through < LOOKED_THROUGH {
            let page = self.sender.messages().due(app, PAGE, after).await?;
            run.record_unread(&page);
            if is_first {
                self.note_backlog(app, page.messages.first());
            }
            is_first = false;
            // So that a few that always fail are not always the first.
            let mut first = self.sender.shuffled(page.messages);
            let others = first.split_off(first.len().min(MAX_DOUBTS));
            self.send_each(run, first).await;
            self.send_each(run, others).await;
            let (is_one_over, are_both_over) = run.are_over();
            looked_through += usize::from(is_one_over);
            after = page.next;
            if after.is_none() || are_both_over {
                break;
            }
        }
        Ok(())
    }

    /// Says so when the message that is due for the longest time has waited for too long.
    fn note_backlog(&self, app: &AppId, oldest: Option<&Message>) {
        let age = oldest.map(|message| self.sender.due_for(message));
        if let Some(age) = age.filter(|age| *age >= BACKLOG) {
            let age_seconds = age.as_secs();
            tracing::warn!(request_id = request::id(), app_id = %app, age_seconds, "messages wait");
        }
    }

    async fn send_each(&self, run: &Run, messages: Vec<Message>) {
        stream::iter(messages)
            .map(|message| self.send_one(run, message))
            .buffer_unordered(CONCURRENCY)
            .collect::<()>()
            .await;
    }

    async fn send_one(&self, run: &Run, message: Message) {
        let kind = message.content.kind();
        // Those that a process left behind are not sent again in any case.
        if message.status == MessageStatus::Queued && run.of(kind).is_over() {
            return;
        }
        match self.send_within_limit(&message).await {
            Ok(worked) => run.record(kind, worked),
            Err(error) => {
                error.report(message.user, &message.id);
                run.not_stored.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the rate limit, as long as there is time.
    async fn send_within_limit(&self, message: &Message) -> Result<Worked, SendError> {
        for _ in 0..WAITS {
            // It may have been sent meanwhile: then it is no longer as it was read, and is left.
            match self.sender.work_on(message).await? {
                Worked::Limited(wait) => tokio::time::sleep(wait.min(LONGEST_WAIT)).await,
                worked => return Ok(worked),
            }
        }
        metrics::message(MessageOutcome::Limited);
        Ok(Worked::Left)
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

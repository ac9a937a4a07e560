//! Messages that are due: those that wait for a time, those that no queue brought, and those whose sender
//! ended without a word. A schedule asks for this once a minute.

mod run;

use std::time::Duration;

use futures_util::{StreamExt, future::join_all, stream};
use shared::{
    dynamo::DynamoError,
    ids::AppId,
    messages::{Message, MessageStatus},
    request,
    telemetry::metrics::{self, MessageOutcome},
};

use crate::sender::{SendError, Sender, Worked};
use run::{DueReport, MAX_DOUBTS, Run};

/// Rows that are read at once.
const PAGE: u16 = 64;
/// Messages of a mini-program that are sent at the same time.
const CONCURRENCY: usize = 16;
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
            run.record_not_stored();
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
                run.record_not_stored();
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

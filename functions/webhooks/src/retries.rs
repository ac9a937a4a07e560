//! Deliveries that wait in the table: those that failed, and those of receivers that are slow. A schedule
//! asks for this once a minute.
//!
//! Receivers are worked on at the same time, each within its own bounds, so none waits for another.

mod behaviour;
mod unqueued;

use std::{
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, join, stream};
use serde::Serialize;
use shared::{
    clock::Clock,
    dynamo::DynamoError,
    request::{self, deadline},
    telemetry::metrics::{self, WebhookDelivery},
    webhooks::{Event, Failures, Outbox, PendingDeliveries, PendingDelivery, ReceiverPauses},
};
use tokio::time::{Instant, sleep};

use crate::{
    retry_after::{self, LONGEST_WAIT},
    schedule::Schedule,
    sender::{Attempt, Failure, Sender},
    settings::Receiver,
};
use behaviour::Behaviour;

/// Rows that are read at once.
const PAGE: u16 = 64;
/// Calls of a receiver at the same time.
const CONCURRENCY: usize = 8;
/// How long a process that works on a delivery has it for itself: longer than an invocation.
const CLAIM: Duration = Duration::from_mins(2);

/// Works on deliveries that are due.
pub struct Retries {
    pub sender: Sender,
    pub schedule: Schedule,
    pub pending: PendingDeliveries,
    pub pauses: ReceiverPauses,
    pub failures: Failures,
    pub outbox: Outbox,
    pub clock: Clock,
}

/// What became of the deliveries that were due.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// The receiver has them.
    delivered: usize,
    /// They wait for another attempt.
    retried: usize,
    /// They are not tried again.
    given_up: usize,
    /// A store of this service's failed.
    pub failed: usize,
}

/// A receiver during one invocation.
struct Run<'a> {
    receiver: &'a Receiver,
    behaviour: Mutex<Behaviour>,
    report: Mutex<RetryReport>,
}

impl<'a> Run<'a> {
    fn new(receiver: &'a Receiver) -> Self {
        Self {
            receiver,
            behaviour: Mutex::default(),
            report: Mutex::default(),
        }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        let behaviour = self.behaviour.lock();
        behaviour.unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, RetryReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a row was worked on, so that there may be room for others behind it.
type Moved = bool;

impl Retries {
    /// Works on what is due, until that is done or the time is up.
    pub async fn run(&self, receivers: &[Receiver]) -> RetryReport {
        let each = receivers.iter().map(|receiver| self.run_for(receiver));
        let (reports, not_queued) = join!(join_all(each), self.queue_again());
        let mut all = RetryReport {
            failed: not_queued,
            ..RetryReport::default()
        };
        for report in reports {
            all.delivered += report.delivered;
            all.retried += report.retried;
            all.given_up += report.given_up;
            all.failed += report.failed;
        }
        all
    }

    async fn run_for(&self, receiver: &Receiver) -> RetryReport {
        let run = Run::new(receiver);
        if let Err(error) = self.work_on_all(&run).await {
            report_store(&receiver.id, &error);
            run.report().failed += 1;
        }
        run.report
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Page by page, until nothing is due, the time is up, or nothing of a page was worked on.
    async fn work_on_all(&self, run: &Run<'_>) -> Result<(), DynamoError> {
        let receiver = &run.receiver.id;
        let (mut after, mut is_first) = (None, true);
        while self.has_time(Duration::ZERO) {
            let page = self.pending.due(receiver, PAGE, after).await?;
            // Asked only when something waits, which is rare.
            if is_first && !page.deliveries.is_empty() && self.pauses.is_paused(receiver).await? {
                // So that the alarm for receivers that fail knows of one that asks for long pauses, too.
                metrics::webhook_delivery(WebhookDelivery::Retried);
                break;
            }
            is_first = false;
            run.report().failed += page.unreadable;
            let is_unreadable = page.unreadable > 0 && page.deliveries.is_empty();
            let worked_on = stream::iter(page.deliveries)
                .map(|delivery| self.work_on(run, delivery))
                .buffer_unordered(CONCURRENCY);
            let moved = worked_on.filter(|moved| ready(*moved)).count().await;
            after = page.next;
            let is_left = moved == 0 && !self.may_go_on(run);
            if after.is_none() || is_unreadable || is_left {
                break;
            }
        }
        Ok(())
    }

    /// Whether an attempt can take all of its time after a pause.
    fn has_time(&self, pause: Duration) -> bool {
        deadline::remaining().is_none_or(|left| left >= pause + self.sender.longest_attempt())
    }

    /// Whether the receiver may be called again in this invocation, when its pause is over if it is in one.
    fn may_go_on(&self, run: &Run<'_>) -> bool {
        let behaviour = run.behaviour();
        !behaviour.is_over() && self.has_time(behaviour.pause_left(Instant::now()))
    }

    /// Waits for the end of the receiver's pause, if it is in one. Whether it may be called then.
    async fn wait_until_callable(&self, run: &Run<'_>) -> bool {
        while self.may_go_on(run) {
            let pause = run.behaviour().pause_left(Instant::now());
            if pause.is_zero() {
                return true;
            }
            // Another attempt may extend the pause meanwhile.
            sleep(pause).await;
        }
        false
    }

    async fn work_on(&self, run: &Run<'_>, delivery: PendingDelivery) -> Moved {
        let worked_on = if self.wait_until_callable(run).await {
            self.attempt(run, &delivery).await
        } else if self.ends_unattempted(run, &delivery) && self.has_time(Duration::ZERO) {
            self.end_unattempted(run, &delivery).await
        } else {
            return false;
        };
        worked_on.unwrap_or_else(|error| {
            report_store(&run.receiver.id, &error);
            run.report().failed += 1;
            false
        })
    }

    /// Of a receiver that is left alone there can be more at their end than could be attempted. Where it
    /// asks for pauses, they wait for the longest one.
    fn ends_unattempted(&self, run: &Run<'_>, delivery: &PendingDelivery) -> bool {
        let behaviour = run.behaviour();
        let waits = if behaviour.asks_for_a_long_pause() {
            ReceiverPauses::LONGEST
        } else {
            Duration::ZERO
        };
        let age = self.age(delivery).saturating_sub(waits);
        behaviour.is_over() && self.schedule.is_last(age)
    }

    /// Nobody else works on a delivery that is claimed, and it is due again if this process dies. None where
    /// somebody else has claimed it.
    async fn claim(
        &self,
        delivery: &PendingDelivery,
    ) -> Result<Option<PendingDelivery>, DynamoError> {
        let now = self.clock.now();
        let until = now.checked_add(CLAIM).unwrap_or(now);
        let reason = &delivery.reason;
        self.pending.postpone(delivery, until, reason).await
    }

    async fn end_unattempted(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
    ) -> Result<Moved, DynamoError> {
        match self.claim(delivery).await? {
            Some(claimed) => self.give_up(run, &claimed, &delivery.reason).await,
            None => Ok(false),
        }
    }

    async fn attempt(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
    ) -> Result<Moved, DynamoError> {
        let is_last = self.schedule.is_last(self.age(delivery));
        let Some(claimed) = self.claim(delivery).await? else {
            return Ok(false);
        };
        match self.attempt_within_limit(run, &delivery.event()).await {
            Attempt::Delivered => self.delivered(run, &claimed, is_last).await,
            Attempt::Gone => self.give_up(run, &claimed, "status 410").await,
            Attempt::Failed(failure) => {
                let receiver = &run.receiver.id;
                let ((), moved) = join!(
                    retry_after::keep(&self.pauses, receiver, failure.retry_after, &failure.reason),
                    self.failed(run, &claimed, &failure, is_last),
                );
                moved
            }
        }
    }

    /// Attempts a delivery, again after each short pause that the receiver asks for, so that a receiver with
    /// a limit gets events as it takes them. An event waits for ten seconds in all: one that is always
    /// refused holds up the others of its receiver each time.
    async fn attempt_within_limit(&self, run: &Run<'_>, event: &Event) -> Attempt {
        let mut waits = Duration::ZERO;
        loop {
            let attempted_at = Instant::now();
            let attempt = self.sender.attempt(run.receiver, event).await;
            let Attempt::Failed(failure) = &attempt else {
                return attempt;
            };
            let now = Instant::now();
            run.behaviour().record_failure(failure, attempted_at, now);
            waits += run.behaviour().pause_left(now);
            let is_short = failure.retry_after.is_some() && waits <= LONGEST_WAIT;
            if !is_short || !self.wait_until_callable(run).await {
                return attempt;
            }
        }
    }

    async fn delivered(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
        is_last: bool,
    ) -> Result<Moved, DynamoError> {
        run.behaviour().record_success();
        run.report().delivered += 1;
        metrics::webhook_delivery(WebhookDelivery::Delivered);
        // One at its end can have been listed already, by a process that died before it removed the row.
        if delivery.is_redelivery || is_last {
            let event = delivery.event();
            self.failures.delete(&event, &run.receiver.id).await?;
        }
        self.pending.remove(delivery).await?;
        Ok(true)
    }

    async fn failed(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
        failure: &Failure,
        is_last: bool,
    ) -> Result<Moved, DynamoError> {
        if is_last {
            return self.give_up(run, delivery, &failure.reason).await;
        }
        let now = self.clock.now();
        let next = self
            .schedule
            .next(delivery.queued_at, now, failure.retry_after);
        let reason = &failure.reason;
        self.pending.postpone(delivery, next, reason).await?;
        run.report().retried += 1;
        metrics::webhook_delivery(WebhookDelivery::Retried);
        tracing::info!(
            request_id = request::id(), receiver = run.receiver.id, event = delivery.event().id,
            reason, next = %next, "a delivery waits for its next attempt"
        );
        Ok(true)
    }

    async fn give_up(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
        reason: &str,
    ) -> Result<Moved, DynamoError> {
        let event = delivery.event();
        self.failures
            .record(&event, &run.receiver.id, reason)
            .await?;
        self.pending.remove(delivery).await?;
        run.report().given_up += 1;
        metrics::webhook_delivery(WebhookDelivery::GivenUp);
        tracing::warn!(
            request_id = request::id(),
            receiver = run.receiver.id,
            event = event.id,
            reason,
            "a delivery is given up"
        );
        Ok(true)
    }

    fn age(&self, delivery: &PendingDelivery) -> Duration {
        let age = self.clock.now().duration_since(delivery.queued_at);
        Duration::try_from(age).unwrap_or_default()
    }
}

/// The table fails: for the log and the metrics.
fn report_store(receiver: &str, error: &dyn std::error::Error) {
    let why = error.to_string();
    tracing::error!(
        request_id = request::id(),
        receiver,
        why,
        "waiting deliveries can't be worked on"
    );
    metrics::webhook_delivery(WebhookDelivery::Failed);
}

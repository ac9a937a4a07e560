//! Deliveries that wait in the table: those that failed, and those of receivers that are slow. A schedule
//! asks for this once a minute.
//!
//! Receivers are worked on at the same time, each within its own bounds, so none waits for another.

use std::{
    future::ready,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use serde::Serialize;
use shared::{
    clock::Clock,
    dynamo::DynamoError,
    request::{self, deadline},
    telemetry::metrics::{self, WebhookDelivery},
    webhooks::{Failures, Outbox, PendingDeliveries, PendingDelivery},
};

use crate::{
    schedule::Schedule,
    sender::{Attempt, Failure, Sender},
    settings::Receiver,
};

/// Rows that are read at once.
const PAGE: u16 = 64;
/// Calls of a receiver at the same time.
const CONCURRENCY: usize = 8;
/// A receiver is left alone until the next time after this many failures in a row.
const MAX_FAILURES: i32 = 10;
/// For how many a failure counts that took long, or after which the receiver asks for a pause.
const WEIGHT: i32 = 5;
/// How long a process that works on a delivery has it for itself: longer than an invocation.
const CLAIM: Duration = Duration::from_mins(2);
/// How long an event waits that can't be queued.
const QUEUE_AGAIN: Duration = Duration::from_mins(1);

/// Works on deliveries that are due.
pub struct Retries {
    pub sender: Sender,
    pub schedule: Schedule,
    pub pending: PendingDeliveries,
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

/// A receiver, and how it behaves this time.
struct Run<'a> {
    receiver: &'a Receiver,
    failures: AtomicI32,
    delivered: AtomicUsize,
    retried: AtomicUsize,
    given_up: AtomicUsize,
    failed: AtomicUsize,
}

impl<'a> Run<'a> {
    fn new(receiver: &'a Receiver) -> Self {
        Self {
            receiver,
            failures: AtomicI32::new(0),
            delivered: AtomicUsize::new(0),
            retried: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    fn is_over(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MAX_FAILURES
    }

    fn record(&self, failure: &Failure) {
        let is_long = failure.is_unresponsive || failure.retry_after.is_some();
        let weight = if is_long { WEIGHT } else { 1 };
        self.failures.fetch_add(weight, Ordering::Relaxed);
    }

    fn report(&self) -> RetryReport {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        RetryReport {
            delivered: of(&self.delivered),
            retried: of(&self.retried),
            given_up: of(&self.given_up),
            failed: of(&self.failed),
        }
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Whether a row was worked on, so that there may be room for others behind it.
type Moved = bool;

impl Retries {
    /// Works on what is due, until that is done or the time is up.
    pub async fn run(&self, receivers: &[Receiver]) -> RetryReport {
        let each = receivers.iter().map(|receiver| self.run_for(receiver));
        let (reports, not_queued) = futures_util::join!(join_all(each), self.queue_again());
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
            count(&run.failed);
        }
        run.report()
    }

    /// Page by page, until nothing is due, the time is up, or nothing of a page was worked on.
    async fn work_on_all(&self, run: &Run<'_>) -> Result<(), DynamoError> {
        let mut after = None;
        while self.has_time() {
            let page = self.pending.due(&run.receiver.id, PAGE, after).await?;
            run.failed.fetch_add(page.unreadable, Ordering::Relaxed);
            let is_unreadable = page.unreadable > 0 && page.deliveries.is_empty();
            let is_skipped = run.is_over() && !page.deliveries.is_empty();
            let worked_on = stream::iter(page.deliveries)
                .map(|delivery| self.work_on(run, delivery))
                .buffer_unordered(CONCURRENCY);
            let moved = worked_on.filter(|moved| ready(*moved)).count().await;
            after = page.next;
            if after.is_none() || is_unreadable || (is_skipped && moved == 0) {
                break;
            }
        }
        Ok(())
    }

    /// Whether an attempt can take all of its time.
    fn has_time(&self) -> bool {
        deadline::remaining().is_none_or(|left| left >= self.sender.longest_attempt())
    }

    async fn work_on(&self, run: &Run<'_>, delivery: PendingDelivery) -> Moved {
        if !self.has_time() {
            return false;
        }
        let is_last = self.schedule.is_last(self.age(&delivery));
        let worked_on = match (run.is_over(), is_last) {
            (true, false) => return false,
            // Of a receiver that is down there can be more at their end than could be attempted.
            (true, true) => self.end_unattempted(run, &delivery).await,
            (false, _) => self.attempt(run, &delivery, is_last).await,
        };
        worked_on.unwrap_or_else(|error| {
            report_store(&run.receiver.id, &error);
            count(&run.failed);
            false
        })
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
        is_last: bool,
    ) -> Result<Moved, DynamoError> {
        let Some(claimed) = self.claim(delivery).await? else {
            return Ok(false);
        };
        match self.sender.attempt(run.receiver, &delivery.event()).await {
            Attempt::Delivered => self.delivered(run, &claimed, is_last).await,
            Attempt::Gone => self.give_up(run, &claimed, "status 410").await,
            Attempt::Failed(failure) => {
                run.record(&failure);
                if is_last {
                    return self.give_up(run, &claimed, &failure.reason).await;
                }
                self.retry(run, &claimed, &failure).await
            }
        }
    }

    async fn delivered(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
        is_last: bool,
    ) -> Result<Moved, DynamoError> {
        run.failures.store(0, Ordering::Relaxed);
        count(&run.delivered);
        metrics::webhook_delivery(WebhookDelivery::Delivered);
        // One at its end can have been listed already, by a process that died before it removed the row.
        if delivery.is_redelivery || is_last {
            let event = delivery.event();
            self.failures.delete(&event, &run.receiver.id).await?;
        }
        self.pending.remove(delivery).await?;
        Ok(true)
    }

    async fn retry(
        &self,
        run: &Run<'_>,
        delivery: &PendingDelivery,
        failure: &Failure,
    ) -> Result<Moved, DynamoError> {
        let now = self.clock.now();
        let next = self
            .schedule
            .next(delivery.queued_at, now, failure.retry_after);
        let reason = &failure.reason;
        self.pending.postpone(delivery, next, reason).await?;
        count(&run.retried);
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
        count(&run.given_up);
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

    /// Queues the events that could not be queued when they came. How many still can't.
    async fn queue_again(&self) -> usize {
        let (mut failed, mut after) = (0, None);
        while self.has_time() {
            let page = match self.pending.unqueued(PAGE, after).await {
                Ok(page) => page,
                Err(error) => {
                    report_store("*", &error);
                    return failed + 1;
                }
            };
            let queued = stream::iter(page.deliveries)
                .map(|event| self.queue_one(event))
                .buffer_unordered(CONCURRENCY);
            let failed_here =
                page.unreadable + queued.filter(|queued| ready(!queued)).count().await;
            failed += failed_here;
            after = page.next;
            // While the queue can't be used, all others would fail, too.
            if failed_here > 0 || after.is_none() {
                break;
            }
        }
        failed
    }

    async fn queue_one(&self, event: PendingDelivery) -> bool {
        let event = match self.claim(&event).await {
            Ok(Some(claimed)) => claimed,
            Ok(None) => return true,
            Err(error) => {
                report_store("*", &error);
                return false;
            }
        };
        if let Err(error) = self.outbox.requeue(&event).await {
            report_store("*", &error);
            let now = self.clock.now();
            let next = now.checked_add(QUEUE_AGAIN).unwrap_or(now);
            // It comes again in any case; only the order changes.
            let postponed = self.pending.postpone(&event, next, "not queued").await;
            drop(postponed.inspect_err(|error| report_store("*", error)));
            return false;
        }
        let removed = self.pending.remove(&event).await;
        removed
            .inspect_err(|error| report_store("*", error))
            .is_ok()
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

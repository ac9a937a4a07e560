//! Events that the queue did not take when they came.

use std::{future::ready, time::Duration};

use futures_util::{StreamExt, stream};
use shared::webhooks::PendingDelivery;

use super::{CONCURRENCY, PAGE, Retries, report_store};

/// How long an event waits that can't be queued.
const QUEUE_AGAIN: Duration = Duration::from_mins(1);

impl Retries {
    /// Queues the events that could not be queued when they came. How many still can't.
    pub(super) async fn queue_again(&self) -> usize {
        let (mut failed, mut after) = (0, None);
        while self.has_time(Duration::ZERO) {
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

//! Once a minute: the sagas that stopped half-way, because their process died or a step failed.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use shared::{
    clock::Clock,
    instance::Instance,
    request::deadline,
    runtime::InvocationError,
    saga::{Entry, Sagas},
    telemetry::metrics,
};

use crate::resume::{Resumed, Resuming};

/// How many are continued at the same time.
const CONCURRENCY: usize = 16;
/// One is begun only if the invocation has at least this long left.
const FOR_A_SAGA: Duration = Duration::from_secs(3);

/// What the schedule does.
pub struct Schedule {
    log: Sagas,
    resuming: Resuming,
    clock: Clock,
}

/// What became of the sagas that were due.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// They are at their end.
    pub ended: usize,
    /// They go on later, or other processes have them.
    pub unfinished: usize,
    /// A step of theirs failed, or their rows can't be read.
    pub failed: usize,
}

impl Schedule {
    pub fn new(instance: &Instance) -> Self {
        Self {
            log: instance.sagas(),
            resuming: Resuming::new(instance),
            clock: instance.clock(),
        }
    }

    /// Continues the sagas that are due, those that have been so for the longest time first, as long as
    /// there is time. One that a process has is left to it. One that fails keeps none of the others.
    pub async fn resume_sagas(&self) -> Result<Report, InvocationError> {
        let mut report = Report::default();
        let mut after = None;
        loop {
            let due = self.log.due(after).await;
            let due = due.map_err(|error| InvocationError(error.to_string()))?;
            for _ in 0..due.unreadable {
                metrics::saga_failure();
            }
            report.failed += due.unreadable;
            self.resume_all(due.entries, &mut report).await;
            after = due.next;
            if after.is_none() || is_out_of_time() {
                return Ok(report);
            }
        }
    }

    async fn resume_all(&self, entries: Vec<Entry>, report: &mut Report) {
        let now = self.clock.now().as_second();
        let due = entries
            .into_iter()
            .filter(|saga| saga.not_before.is_none_or(|time| time <= now));
        let mut outcomes = stream::iter(due)
            .map(|saga| async move {
                if is_out_of_time() {
                    Resumed::GoesOn
                } else {
                    self.resuming.resume(&saga.id).await
                }
            })
            .buffer_unordered(CONCURRENCY);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Resumed::Ended => report.ended += 1,
                Resumed::GoesOn => report.unfinished += 1,
                Resumed::Failed => report.failed += 1,
            }
        }
    }
}

fn is_out_of_time() -> bool {
    deadline::remaining().is_some_and(|left| left < FOR_A_SAGA)
}

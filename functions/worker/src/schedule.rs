//! Once a minute: the sagas that stopped half-way, because their process died or a step failed.

use futures_util::{StreamExt, stream};
use serde::Serialize;
use shared::{clock::Clock, instance::Instance, runtime::InvocationError, saga::Sagas};

use crate::resume::{Resumed, Resuming};

/// How many are continued at most. Those that are due first.
const MOST: u16 = 200;
/// How many at the same time.
const CONCURRENCY: usize = 16;

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
    /// A step of theirs failed.
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

    /// Continues the sagas that are due. One that a process has is left to it.
    pub async fn resume_sagas(&self) -> Result<Report, InvocationError> {
        let unfinished = self.log.unfinished(MOST).await;
        let unfinished = unfinished.map_err(|error| InvocationError(error.to_string()))?;
        let now = self.clock.now().as_second();
        let due = unfinished
            .into_iter()
            .filter(|saga| saga.not_before.is_none_or(|time| time <= now));
        let outcomes = stream::iter(due)
            .map(|saga| async move { self.resuming.resume(&saga.id).await })
            .buffer_unordered(CONCURRENCY);
        let report = outcomes.fold(Report::default(), async |mut report, outcome| {
            match outcome {
                Resumed::Ended => report.ended += 1,
                Resumed::GoesOn => report.unfinished += 1,
                Resumed::Failed => report.failed += 1,
            }
            report
        });
        Ok(report.await)
    }
}

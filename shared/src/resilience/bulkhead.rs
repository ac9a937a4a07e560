//! A concurrency limit. What exceeds it is rejected at once: a queue would only make every caller
//! late.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::telemetry::metrics;

/// All permits are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at capacity: {0}")]
pub struct AtCapacity(pub &'static str);

/// A fixed number of permits. Keep one for each limited resource, per instance.
pub struct Bulkhead {
    name: &'static str,
    permits: Arc<Semaphore>,
}

impl Bulkhead {
    /// A limit on the resource that errors and metrics call `name`.
    #[must_use]
    pub fn new(name: &'static str, permits: u32) -> Self {
        Self {
            name,
            permits: Arc::new(Semaphore::new(
                usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS),
            )),
        }
    }

    /// Takes a permit, which is returned when the value is dropped.
    ///
    /// # Errors
    /// [`AtCapacity`] when there is none left. It never waits.
    pub fn acquire(&self) -> Result<Permit<'_>, AtCapacity> {
        self.permits
            .try_acquire()
            .map(Permit)
            .map_err(|_| self.shed())
    }

    /// The same, for a permit that outlives the borrow.
    ///
    /// # Errors
    /// [`AtCapacity`] when there is none left. It never waits.
    pub fn acquire_owned(&self) -> Result<OwnedPermit, AtCapacity> {
        Arc::clone(&self.permits)
            .try_acquire_owned()
            .map(OwnedPermit)
            .map_err(|_| self.shed())
    }

    fn shed(&self) -> AtCapacity {
        metrics::shed(self.name);
        AtCapacity(self.name)
    }

    /// Runs `work` with a permit.
    ///
    /// # Errors
    /// [`AtCapacity`] when there is none left; `work` was not started then.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, AtCapacity> {
        let _permit = self.acquire()?;
        Ok(work.await)
    }
}

/// A permit that is taken.
#[derive(Debug)]
#[must_use = "the permit is returned when this is dropped"]
pub struct Permit<'a>(#[expect(dead_code, reason = "held for its drop")] SemaphorePermit<'a>);

/// A [`Permit`] without a lifetime.
#[derive(Debug)]
#[must_use = "the permit is returned when this is dropped"]
pub struct OwnedPermit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn work_above_the_limit_is_rejected_and_a_returned_permit_is_available() {
        let bulkhead = Bulkhead::new("calls", 2);
        let (first, _second) = (bulkhead.acquire().unwrap(), bulkhead.acquire().unwrap());
        assert_eq!(bulkhead.acquire().unwrap_err(), AtCapacity("calls"));
        drop(first);
        assert!(bulkhead.acquire().is_ok());
    }

    #[test]
    fn work_returns_its_permit_when_it_ends_and_when_it_is_dropped() {
        let bulkhead = Bulkhead::new("calls", 1);
        let (send, receive) = oneshot::channel::<u8>();
        let mut work = Box::pin(bulkhead.run(receive));
        assert!(work.as_mut().now_or_never().is_none());
        assert_eq!(
            bulkhead.run(std::future::ready(())).now_or_never(),
            Some(Err(AtCapacity("calls")))
        );
        send.send(7).unwrap();
        assert_eq!(work.now_or_never(), Some(Ok(Ok(7))));

        let mut dropped = Box::pin(bulkhead.run(std::future::pending::<()>()));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        assert!(bulkhead.acquire().is_ok());
    }
}

//! Retries of idempotent calls: few, after random pauses, and only while most calls need none.
//!
//! A budget limits retries to a fraction of the calls
//! (<https://sre.google/sre-book/handling-overload/>): an upstream that is down does not get three
//! times the calls of one that is up. [`Backoff`] computes the pauses.

use std::time::Duration;

use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};

use super::backoff::Backoff;
use crate::{random::Random, telemetry::metrics};

/// How long a call counts towards the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// The share of calls that may be retried.
const BUDGET_SHARE: f32 = 0.2;

/// How often to retry, and after which pauses.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The most calls, including the first one.
    pub attempts: u32,
    /// The limit of the pause before the second call; the limit doubles with each later one.
    pub first_pause: Duration,
    /// The longest limit of a pause.
    pub longest_pause: Duration,
    /// Retries per second, over the last ten, that are always allowed, so that an instance with few
    /// calls has some, too.
    pub always_per_second: u32,
}

impl RetryPolicy {
    /// For calls that take a fraction of a second.
    pub const DEFAULT: Self = Self {
        attempts: 3,
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_millis(500),
        always_per_second: 1,
    };

    fn backoff(&self) -> Backoff {
        Backoff::for_overload(self.first_pause, self.longest_pause)
    }
}

/// Retries of calls to one upstream; keep one for each, per instance: they share the budget.
pub struct Retries {
    upstream: &'static str,
    policy: RetryPolicy,
    budget: TpsBudget,
    random: Random,
}

impl Retries {
    /// Retries of calls to `upstream` (its name in metrics) as `policy` says.
    #[must_use]
    pub fn new(upstream: &'static str, policy: RetryPolicy, random: Random) -> Self {
        Self {
            upstream,
            policy,
            budget: TpsBudget::new(BUDGET_WINDOW, policy.always_per_second, BUDGET_SHARE),
            random,
        }
    }

    /// Calls, and calls again while it fails with an error that `is_transient`, attempts and budget
    /// are left, and the pause ends before the request's deadline does. For idempotent calls only:
    /// one whose reply was lost has been carried out already.
    ///
    /// # Errors
    /// That of the last call.
    pub async fn idempotent<T, E, F>(
        &self,
        mut call: impl FnMut() -> F,
        is_transient: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.budget.deposit();
        let mut pauses = self
            .policy
            .backoff()
            .pauses(&self.random)
            .take(self.retries());
        loop {
            let error = match call().await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match pauses.next() {
                // The budget comes last: a call that is not retried must not use any of it.
                Some(pause) if is_transient(&error) && self.budget.withdraw() => {
                    metrics::retry(self.upstream);
                    sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Calls after the first one.
    fn retries(&self) -> usize {
        usize::try_from(self.policy.attempts.saturating_sub(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;

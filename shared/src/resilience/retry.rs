//! Second tries of calls that may be carried out twice: few, at random moments, and only while most
//! calls need none.
//!
//! A budget keeps retries a fraction of the calls
//! (<https://sre.google/sre-book/handling-overload/>): an upstream that is down is not asked three
//! times as much as one that is up. [`Backoff`] says how long the pauses are.

use std::time::Duration;

use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};

use super::backoff::Backoff;
use crate::{random::Random, telemetry::metrics};

/// How long a call earns its share of retries.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries that need not be earned, a second: an instance that calls rarely has some, too.
const BUDGET_FLOOR: u32 = 1;
/// The share of calls that may be repeated.
const BUDGET_SHARE: f32 = 0.2;

/// How often, and after which pauses.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Calls at most, the first one included.
    pub attempts: u32,
    /// The most that the pause before the second call can be; each later one can be twice as long
    /// as the one before it.
    pub first_pause: Duration,
    /// The most that any pause can be.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// For calls that take a fraction of a second.
    pub const DEFAULT: Self = Self {
        attempts: 3,
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_millis(500),
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
            budget: TpsBudget::new(BUDGET_WINDOW, BUDGET_FLOOR, BUDGET_SHARE),
            random,
        }
    }

    /// Calls, and calls again while it fails with an error that `is_transient`, attempts and budget
    /// are left, and the pause ends before the request's deadline does. For calls that may be
    /// carried out twice only: one whose answer was lost has been carried out once.
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
                // The budget last: what is not repeated must not cost it anything.
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

//! A circuit breaker whose state all instances share, timed by the Redis server's clock.
//!
//! ```text
//!            enough calls, enough of them bad,
//!            on enough instances                     the open time is over
//!   closed ───────────────────────────────▶ open ────────────────────────▶ half-open
//!      ▲                                     ▲                               │   │
//!      │                                     └── the probe was bad ──────────┘   │
//!      │                                         (twice the open time)           │
//!      └── the probe was good ───────────────────────────────────────────────────┘
//! ```
//!
//! An instance [checks](Breaker::check) before it calls, [acquires](Breaker::acquire) the one probe
//! when the breaker is half-open, and [reports](Breaker::report) a failure at once; successes are
//! sent along with the next check. Every state has a generation: the outcome of a call that began
//! in another one changes nothing.
//!
//! The same machine with a quorum of one over [`Kv::Memory`](crate::kv::Kv::Memory) is the breaker
//! of a single instance.

mod machine;
mod observer;
mod rules;
mod state;
mod step;
mod window;

use std::time::Duration;

pub use self::{
    observer::{BreakerReport, Observer},
    rules::BreakerError,
    state::Snapshot,
    step::{Breaker, BreakerStep, LUA},
};
use crate::{kv::KvError, random::Random};

/// Identifies the state that a call began in. Grows with every change from one state to another; 0
/// when nothing is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(i64);

/// Identifies an instance for its lifetime: 48 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceId(i64);

impl InstanceId {
    /// A new id.
    #[must_use]
    pub fn draw(random: &Random) -> Self {
        Self(draw_48_bits(random))
    }
}

/// Proves that a call holds the probe's lease: 48 random bits, drawn for that call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeToken(i64);

impl ProbeToken {
    /// A new token.
    #[must_use]
    pub fn draw(random: &Random) -> Self {
        Self(draw_48_bits(random))
    }
}

/// Never 0, which means none.
fn draw_48_bits(random: &Random) -> i64 {
    random
        .bytes::<6>()
        .iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
        + 1
}

/// The outcomes of calls that began in one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The generation that the calls began in.
    pub generation: Generation,
    /// Successes within the time limit.
    pub good: u32,
    /// Successes that took too long.
    pub slow: u32,
    /// Failures.
    pub failed: u32,
}

/// What an administrator can force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Rejects all calls for this long. At most [`Breaker::LONGEST_FORCE`].
    Open(Duration),
    /// Admits all calls for this long, whatever their outcomes. At most [`Breaker::LONGEST_FORCE`].
    Closed(Duration),
    /// Closes the breaker and clears its history.
    Reset,
}

/// The breaker's reply to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerReply {
    /// The generation that calls now begin in.
    pub generation: Generation,
    /// Whether they may be made.
    pub status: BreakerStatus,
    /// The change of state that this step caused.
    pub transition: Option<Transition>,
}

/// Whether calls may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerStatus {
    /// Calls may be made.
    Closed,
    /// Calls may not be made.
    Open {
        /// For this long.
        retry_after: Duration,
    },
    /// One call may be made, by the caller that acquires the probe.
    HalfOpen(Probe),
}

/// The one call of a half-open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// No caller has it yet.
    Free,
    /// The caller has it, and has this long to report.
    Yours(Duration),
    /// Another caller has it. Without a report, it becomes free after this long.
    Taken(Duration),
}

/// A change from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// From closed to open.
    Opened,
    /// The probe was bad: from half-open to open.
    Reopened,
    /// The probe was good: from half-open to closed.
    Recovered,
}

impl BreakerReply {
    /// Parses the store's reply to a [`BreakerStep`].
    ///
    /// # Errors
    /// [`KvError`] when it is not a reply of a breaker.
    pub fn read(reply: &[i64]) -> Result<Self, KvError> {
        let unexpected = || KvError::unexpected("a breaker");
        let &[status, generation, wait, transition] = reply else {
            return Err(unexpected());
        };
        let wait = Duration::from_micros(u64::try_from(wait).map_err(|_| unexpected())?);
        let status = match status {
            machine::CLOSED => BreakerStatus::Closed,
            machine::OPEN => BreakerStatus::Open { retry_after: wait },
            machine::PROBE_FREE => BreakerStatus::HalfOpen(Probe::Free),
            machine::PROBE_TAKEN => BreakerStatus::HalfOpen(Probe::Taken(wait)),
            machine::PROBE_YOURS => BreakerStatus::HalfOpen(Probe::Yours(wait)),
            _ => return Err(unexpected()),
        };
        let transition = match transition {
            0 => None,
            machine::OPENED => Some(Transition::Opened),
            machine::REOPENED => Some(Transition::Reopened),
            machine::RECOVERED => Some(Transition::Recovered),
            _ => return Err(unexpected()),
        };
        Ok(Self {
            generation: Generation(generation),
            status,
            transition,
        })
    }
}

#[cfg(test)]
mod tests;

//! What a breaker does, as a pure function of its record, the time and the input.
//!
//! The clock is the store's, but even that one can be set back. A moment further in the future than
//! any that a step stores counts as past, so that no state lasts forever.

use super::{
    rules::{MAX_FORCED, Rules},
    state::{BreakerRecord, Lease, MAX_STREAK, StoredState},
    window::{Calls, LENGTH},
};
use crate::kv::Micros;

pub(super) const CLOSED: i64 = 0;
pub(super) const OPEN: i64 = 1;
pub(super) const PROBE_FREE: i64 = 2;
pub(super) const PROBE_TAKEN: i64 = 3;
pub(super) const PROBE_YOURS: i64 = 4;

pub(super) const OPENED: i64 = 1;
pub(super) const REOPENED: i64 = 2;
pub(super) const RECOVERED: i64 = 3;

const SECOND: Micros = 1_000_000;
const WINDOW: Micros = LENGTH * SECOND;
/// The clock may be set back by this much without ending a probe or an open time early.
const SLACK: Micros = WINDOW;
/// The largest random number for jitter: it makes an open time longer by a fifth.
pub(super) const MAX_JITTER: i64 = 1000;

/// The input of a step. All whole numbers, because that is what scripts take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) kind: StepKind,
    pub(super) instance: i64,
    /// A random number up to [`MAX_JITTER`].
    pub(super) jitter: i64,
    /// The generation that `calls` began in.
    pub(super) generation: i64,
    pub(super) calls: Calls,
    /// The token of the caller's probe; 0 if it has none.
    pub(super) token: i64,
    /// How long a state is forced.
    pub(super) ttl: Micros,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Check = 0,
    Acquire = 1,
    Report = 2,
    ForceOpen = 3,
    ForceClosed = 4,
    Reset = 5,
}

/// What a step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: there is nothing to store.
    Nothing,
    /// The record has changed, without a transition to report.
    Changed,
    /// The record has changed, with this transition to report.
    Transitioned(i64),
}

impl BreakerRecord {
    /// Applies one step; returns what it changed.
    pub(super) fn step(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        self.end_force(now);
        match input.kind {
            StepKind::Acquire if self.is_half_open(now, rules) => {
                self.take_lease(now, rules, input.token)
            }
            StepKind::Report if self.is_probe(input) => self.end_probe(now, rules, input),
            StepKind::Check | StepKind::Acquire | StepKind::Report => {
                self.count_calls(now, rules, input)
            }
            StepKind::ForceOpen => self.force(StoredState::ForcedOpen, now + input.ttl),
            StepKind::ForceClosed => self.force(StoredState::ForcedClosed, now + input.ttl),
            StepKind::Reset => self.force(StoredState::Closed, now),
        }
    }

    /// The status for the holder of `token`, and how long it lasts at most.
    pub(super) fn status(&self, now: Micros, rules: &Rules, token: i64) -> (i64, Micros) {
        match self.state {
            StoredState::Closed | StoredState::ForcedClosed => (CLOSED, 0),
            StoredState::ForcedOpen => (OPEN, self.at - now),
            StoredState::Open if !self.is_half_open(now, rules) => (OPEN, self.at - now),
            StoredState::Open if !self.is_leased(now, rules) => (PROBE_FREE, 0),
            StoredState::Open if self.lease.token == token => (PROBE_YOURS, self.lease.until - now),
            StoredState::Open => (PROBE_TAKEN, self.lease.until - now),
        }
    }

    /// How long the record has to be kept.
    pub(super) fn ttl(&self, now: Micros, rules: &Rules) -> Micros {
        match self.state {
            StoredState::Closed if self.remembers_opening(now, rules) => {
                WINDOW.max(self.at + rules.open_max - now)
            }
            StoredState::Closed => WINDOW,
            StoredState::Open if self.is_half_open(now, rules) => {
                WINDOW + rules.open_max + rules.lease
            }
            StoredState::Open => self.at - now + WINDOW + rules.open_max + rules.lease,
            StoredState::ForcedOpen | StoredState::ForcedClosed => self.at - now,
        }
    }

    fn is_half_open(&self, now: Micros, rules: &Rules) -> bool {
        self.state == StoredState::Open
            && !is_ahead(self.at, now, rules.open_max + rules.open_max / 5)
    }

    fn is_leased(&self, now: Micros, rules: &Rules) -> bool {
        self.lease.token != 0 && is_ahead(self.lease.until, now, rules.lease)
    }

    /// Whether the last opening is so recent that the next open time doubles again.
    fn remembers_opening(&self, now: Micros, rules: &Rules) -> bool {
        self.streak > 0 && is_ahead(self.at + rules.open_max, now, rules.open_max)
    }

    /// Whether the caller has the probe. An expired lease still counts, unless another caller has
    /// taken it.
    fn is_probe(&self, input: &Input) -> bool {
        self.state == StoredState::Open
            && input.token != 0
            && input.token == self.lease.token
            && input.generation == self.generation
    }

    fn end_force(&mut self, now: Micros) {
        if matches!(
            self.state,
            StoredState::ForcedOpen | StoredState::ForcedClosed
        ) && !is_ahead(self.at, now, MAX_FORCED)
        {
            *self = Self {
                generation: self.generation,
                ..Self::default()
            };
        }
    }

    /// Counts calls that began in this closed state, and opens at the threshold.
    fn count_calls(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        if self.state != StoredState::Closed
            || input.calls.total == 0
            || input.generation != self.generation
        {
            return Effect::Nothing;
        }
        self.window.count(now / SECOND, input.calls, input.instance);
        if !rules.should_trip(self.window.totals()) {
            return Effect::Changed;
        }
        if !self.remembers_opening(now, rules) {
            self.streak = 0;
        }
        self.open(now, rules, input.jitter);
        Effect::Transitioned(OPENED)
    }

    /// Opens for a time that doubles with each opening of the streak.
    fn open(&mut self, now: Micros, rules: &Rules, jitter: i64) {
        let time = (rules.open_min << self.streak).min(rules.open_max);
        *self = Self {
            state: StoredState::Open,
            generation: self.generation + 1,
            streak: (self.streak + 1).min(MAX_STREAK),
            at: now + time + time * jitter / (5 * MAX_JITTER),
            ..Self::default()
        };
    }

    fn take_lease(&mut self, now: Micros, rules: &Rules, token: i64) -> Effect {
        if self.is_leased(now, rules) {
            return Effect::Nothing;
        }
        self.lease = Lease {
            token,
            until: now + rules.lease,
        };
        Effect::Changed
    }

    /// Ends the probe: a bad call reopens the breaker, a good one closes it, and none returns the
    /// lease.
    fn end_probe(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        if input.calls.bad() > 0 {
            self.open(now, rules, input.jitter);
            return Effect::Transitioned(REOPENED);
        }
        if input.calls.total == 0 {
            self.lease = Lease::default();
            return Effect::Changed;
        }
        *self = Self {
            generation: self.generation + 1,
            streak: self.streak,
            at: now,
            ..Self::default()
        };
        Effect::Transitioned(RECOVERED)
    }

    fn force(&mut self, state: StoredState, at: Micros) -> Effect {
        *self = Self {
            state,
            generation: self.generation + 1,
            at,
            ..Self::default()
        };
        Effect::Changed
    }
}

/// Whether a moment is in the future, and no further ahead than any that a step stores.
fn is_ahead(moment: Micros, now: Micros, longest: Micros) -> bool {
    moment > now && moment - now <= longest + SLACK
}

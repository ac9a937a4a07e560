//! What a breaker does, as a pure function of its state, the time and what it is told.
//!
//! The clock is the store's, but even that one can be set back. A moment that is further away than
//! it can have been set counts as past, so that nothing holds for ever; one that is nearer holds.

use super::{
    rules::Rules,
    state::{Lease, MAX_STREAK, Phase, State},
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
/// By so much the clock may be set back without a probe or an open time ending early.
const SLACK: Micros = WINDOW;
/// The longest forced state.
pub(super) const FORCED: Micros = 7 * 24 * 3600 * SECOND;
/// Random numbers for jitter go up to this, which makes an open time longer by a fifth.
pub(super) const MAX_JITTER: i64 = 1000;

/// What the machine is told. Everything is a whole number, so that it goes to the script as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) call: Call,
    pub(super) instance: i64,
    /// A random number up to [`MAX_JITTER`].
    pub(super) jitter: i64,
    /// The generation that `calls` began in.
    pub(super) generation: i64,
    pub(super) calls: Calls,
    /// Of the caller's probe; 0 for none.
    pub(super) token: i64,
    /// For how long a state is forced.
    pub(super) life: Micros,
}

/// What the machine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Look = 0,
    Acquire = 1,
    Report = 2,
    ForceOpen = 3,
    ForceClosed = 4,
    Reset = 5,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing is to be stored.
    Nothing,
    /// The state has changed.
    Changed,
    /// It has changed to another phase.
    Moved(i64),
}

impl State {
    /// Takes one step, and says what has changed.
    pub(super) fn step(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        self.end_force(now);
        match input.call {
            Call::Acquire if self.is_half_open(now, rules) => {
                self.take_lease(now, rules, input.token)
            }
            Call::Report if self.is_probe(input) => self.settle(now, rules, input),
            Call::Look | Call::Acquire | Call::Report => self.absorb(now, rules, input),
            Call::ForceOpen => self.force(Phase::ForcedOpen, now + input.life),
            Call::ForceClosed => self.force(Phase::ForcedClosed, now + input.life),
            Call::Reset => self.force(Phase::Closed, now),
        }
    }

    /// Where the breaker stands for the holder of `token`, and how long that holds at the most.
    pub(super) fn standing(&self, now: Micros, rules: &Rules, token: i64) -> (i64, Micros) {
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => (CLOSED, 0),
            Phase::ForcedOpen => (OPEN, self.at - now),
            Phase::Open if !self.is_half_open(now, rules) => (OPEN, self.at - now),
            Phase::Open if !self.is_leased(now, rules) => (PROBE_FREE, 0),
            Phase::Open if self.lease.token == token => (PROBE_YOURS, self.lease.until - now),
            Phase::Open => (PROBE_TAKEN, self.lease.until - now),
        }
    }

    /// How long the state is to be remembered.
    pub(super) fn life(&self, now: Micros, rules: &Rules) -> Micros {
        match self.phase {
            Phase::Closed if self.remembers_opening(now, rules) => {
                WINDOW.max(self.at + rules.open_max - now)
            }
            Phase::Closed => WINDOW,
            Phase::Open if self.is_half_open(now, rules) => WINDOW + rules.open_max + rules.lease,
            Phase::Open => self.at - now + WINDOW + rules.open_max + rules.lease,
            Phase::ForcedOpen | Phase::ForcedClosed => self.at - now,
        }
    }

    fn is_half_open(&self, now: Micros, rules: &Rules) -> bool {
        self.phase == Phase::Open && !is_ahead(self.at, now, rules.open_max + rules.open_max / 5)
    }

    fn is_leased(&self, now: Micros, rules: &Rules) -> bool {
        self.lease.token != 0 && is_ahead(self.lease.until, now, rules.lease)
    }

    /// Whether the last opening is so recent that the next one goes on doubling.
    fn remembers_opening(&self, now: Micros, rules: &Rules) -> bool {
        self.streak > 0 && is_ahead(self.at + rules.open_max, now, rules.open_max)
    }

    /// Even one whose lease has run out, as long as nobody else has taken it.
    fn is_probe(&self, input: &Input) -> bool {
        self.phase == Phase::Open
            && input.token != 0
            && input.token == self.lease.token
            && input.generation == self.generation
    }

    fn end_force(&mut self, now: Micros) {
        if matches!(self.phase, Phase::ForcedOpen | Phase::ForcedClosed)
            && !is_ahead(self.at, now, FORCED)
        {
            *self = Self {
                generation: self.generation,
                ..Self::default()
            };
        }
    }

    /// Counts calls that began while it was closed as it is now, and opens when they were the last
    /// straw.
    fn absorb(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        if self.phase != Phase::Closed
            || input.calls.total == 0
            || input.generation != self.generation
        {
            return Effect::Nothing;
        }
        self.window.count(now / SECOND, input.calls, input.instance);
        if !self.window.is_sick(rules) {
            return Effect::Changed;
        }
        if !self.remembers_opening(now, rules) {
            self.streak = 0;
        }
        self.open(now, rules, input.jitter);
        Effect::Moved(OPENED)
    }

    /// For the next open time, which doubles along the streak.
    fn open(&mut self, now: Micros, rules: &Rules, jitter: i64) {
        let time = (rules.open_min << self.streak).min(rules.open_max);
        *self = Self {
            phase: Phase::Open,
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

    /// The probe has ended: one bad call opens again, only good ones close, and none gives the
    /// lease back.
    fn settle(&mut self, now: Micros, rules: &Rules, input: &Input) -> Effect {
        if input.calls.bad() > 0 {
            self.open(now, rules, input.jitter);
            return Effect::Moved(REOPENED);
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
        Effect::Moved(RECOVERED)
    }

    fn force(&mut self, phase: Phase, at: Micros) -> Effect {
        *self = Self {
            phase,
            generation: self.generation + 1,
            at,
            ..Self::default()
        };
        Effect::Changed
    }
}

/// Whether a moment is still to come, and not further away than it can have been set.
fn is_ahead(moment: Micros, now: Micros, longest: Micros) -> bool {
    moment > now && moment - now <= longest + SLACK
}

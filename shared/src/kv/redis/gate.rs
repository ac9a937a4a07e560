//! The gate in front of a Redis server: a breaker of this instance alone, as a pure state machine.
//!
//! ```text
//!            answered                     rest is over: the next question starts an attempt,
//!            ┌──────┐                     but does not wait for it
//!            ▼      │   failed                                        ┌───────────────┐
//! unused ──▶ open ──┴───────────▶ shut (250 ms, 500 ms, 1 s, 1 s …) ──▶ probing        │
//!    ▲        │ ▲                   ▲                                  │  │ cut short  │
//!    └────────┘ │                   └───────── attempt failed ─────────┘  │ by a freeze│
//!      lost     └───────────────────────────── attempt succeeded ─────────┴────────────┘
//! ```
//!
//! While it is open, questions use the connection, or wait for the one that is being made. While it
//! is shut or probing they are refused at once. An *attempt* is a connection on its way, to the
//! answer of a first PING: it is the probe.

use std::time::Duration;

use crate::clock::Moment;

/// The first rest, and the longest.
pub(super) const RESTS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// A connection that has answered nothing for this long may have died in a freeze without a word.
const IDLE: Duration = Duration::from_secs(10);
/// So many attempts in a row that a freeze cut short make the next question wait for its attempt:
/// an instance that wakes for a millisecond a minute would else never see one through.
const CUT_SHORT: u8 = 2;

/// An attempt, by which what becomes of it is told from what became of earlier ones.
pub(super) type Number = u64;

/// `A` is an attempt, and the connection that came out of it.
pub(super) struct Gate<A> {
    state: State<A>,
    /// How long an attempt may take. One that is older by much was cut short by a freeze.
    patience: Duration,
    attempts: Number,
    /// The length of the next rest.
    rest: Duration,
    cut_short: u8,
}

enum State<A> {
    Unused,
    Open(Attempt<A>),
    Shut { since: Moment, rest: Duration },
    Probing(Attempt<A>),
}

struct Attempt<A> {
    number: Number,
    connection: A,
    start: Moment,
    /// When it last answered a question.
    answered: Option<Moment>,
}

/// A question that may pass.
pub(super) struct Pass<A> {
    pub(super) number: Number,
    pub(super) connection: A,
    /// The connection has been silent for so long that it may be dead.
    pub(super) idle: bool,
}

impl<A: Clone> Gate<A> {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            state: State::Unused,
            patience,
            attempts: 0,
            rest: RESTS[0],
            cut_short: 0,
        }
    }

    /// What a question may use; none: it is refused. `connect` starts an attempt.
    pub(super) fn admit(
        &mut self,
        now: Moment,
        connect: impl FnOnce(Number) -> A,
    ) -> Option<Pass<A>> {
        match &self.state {
            State::Unused => Some(self.open(now, connect)),
            State::Open(attempt) => Some(attempt.pass(now)),
            State::Shut { since, rest } if now.since(*since) >= *rest => self.probe(now, connect),
            State::Probing(attempt) if self.was_frozen(attempt.start, now) => {
                self.cut_short += 1;
                self.probe(now, connect)
            }
            State::Shut { .. } | State::Probing(_) => None,
        }
    }

    /// What a question of somebody who wants to know may use, whatever happened before: there is
    /// always an attempt.
    pub(super) fn insist(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Pass<A> {
        match &self.state {
            State::Open(attempt) => attempt.pass(now),
            State::Probing(attempt) if !self.was_frozen(attempt.start, now) => attempt.pass(now),
            State::Unused | State::Shut { .. } | State::Probing(_) => {
                let number = self.next_number();
                let attempt = Attempt {
                    number,
                    connection: connect(number),
                    start: now,
                    answered: None,
                };
                let pass = attempt.pass(now);
                self.state = State::Probing(attempt);
                pass
            }
        }
    }

    /// The connection of this attempt answered a question.
    pub(super) fn answered(&mut self, number: Number, now: Moment) {
        if let State::Open(attempt) = &mut self.state
            && attempt.number == number
        {
            attempt.answered = Some(now);
            self.rest = RESTS[0];
        }
    }

    /// The connection of this attempt is of no use any more, and nothing is wrong with the server
    /// as far as is known: the next question connects anew.
    pub(super) fn lost(&mut self, number: Number) {
        if matches!(&self.state, State::Open(attempt) if attempt.number == number) {
            self.state = State::Unused;
        }
    }

    /// The server let a question wait too long, or is in no state to answer. An attempt still on
    /// its way goes on. Says whether that shut the gate.
    pub(super) fn failed(&mut self, number: Number, now: Moment, connecting: bool) -> bool {
        if !matches!(&self.state, State::Open(attempt) if attempt.number == number) {
            return false;
        }
        let rest = self.take_rest();
        match std::mem::replace(&mut self.state, State::Shut { since: now, rest }) {
            State::Open(attempt) if connecting => self.state = State::Probing(attempt),
            _ => {}
        }
        true
    }

    /// This attempt has come to its end. Says whether that opened or shut the gate.
    pub(super) fn ended(&mut self, number: Number, succeeded: bool, now: Moment) -> Option<Turn> {
        let (State::Open(attempt) | State::Probing(attempt)) = &self.state else {
            return None;
        };
        if attempt.number != number {
            return None;
        }
        let (was_open, start) = (matches!(self.state, State::Open(_)), attempt.start);
        if succeeded {
            self.cut_short = 0;
            self.state = match std::mem::replace(&mut self.state, State::Unused) {
                State::Probing(attempt) => State::Open(attempt),
                other => other,
            };
            return (!was_open).then_some(Turn::Opened);
        }
        self.cut_short = if self.was_frozen(start, now) {
            self.cut_short.saturating_add(1)
        } else {
            0
        };
        // From its start: after a freeze the rest is over, and a slow failure is no reason to rest
        // for longer.
        self.state = State::Shut {
            since: start,
            rest: self.take_rest(),
        };
        was_open.then_some(Turn::Shut)
    }

    fn open(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Pass<A> {
        let number = self.next_number();
        let attempt = Attempt {
            number,
            connection: connect(number),
            start: now,
            answered: None,
        };
        let pass = attempt.pass(now);
        self.state = State::Open(attempt);
        pass
    }

    fn probe(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Option<Pass<A>> {
        if self.cut_short >= CUT_SHORT {
            self.cut_short = 0;
            return Some(self.open(now, connect));
        }
        let number = self.next_number();
        self.state = State::Probing(Attempt {
            number,
            connection: connect(number),
            start: now,
            answered: None,
        });
        None
    }

    fn was_frozen(&self, start: Moment, now: Moment) -> bool {
        now.since(start) > self.patience * 2
    }

    fn next_number(&mut self) -> Number {
        self.attempts += 1;
        self.attempts
    }

    fn take_rest(&mut self) -> Duration {
        let rest = self.rest;
        self.rest = (rest * 2).min(RESTS[1]);
        rest
    }
}

/// How the gate turned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Opened,
    Shut,
}

impl<A: Clone> Attempt<A> {
    fn pass(&self, now: Moment) -> Pass<A> {
        let idle = now.since(self.answered.unwrap_or(self.start)) > IDLE;
        Pass {
            number: self.number,
            connection: self.connection.clone(),
            idle,
        }
    }
}

#[cfg(test)]
mod tests;

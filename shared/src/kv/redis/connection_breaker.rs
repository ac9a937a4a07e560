//! The breaker in front of one Redis server's connection: local to this instance, and a pure state
//! machine.
//!
//! ```text
//!                 answered                backoff is over: the next call starts an attempt,
//!                 ┌──────┐                and waits for it
//!                 ▼      │   failed                                    ┌────────────┐
//! disconnected ─▶ connected ────────▶ backoff (250 ms, 500 ms, 1 s …) ─▶ probing     │
//!    ▲             │  ▲                  ▲                             │  │ cut short│
//!    └─────────────┘  │                  └───── attempt failed ────────┘  │ by freeze│
//!         lost        └────────────────────── attempt succeeded ──────────┴──────────┘
//! ```
//!
//! While it is connected, calls use the connection, or wait for the one that is being established.
//! During backoff and while probing they are rejected at once, except the call that starts the
//! attempt: it waits for it, so that a failure of long ago decides about no later request. Calls
//! that can't do without the server start an attempt during a backoff too, or wait for the one in
//! progress. An *attempt* establishes a
//! connection and waits for the reply to a first PING, which is the probe.

use std::time::Duration;

use crate::clock::Moment;

/// The first pause of a backoff, and the longest.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// A connection that has answered nothing for this long may have died unnoticed during a freeze.
const IDLE: Duration = Duration::from_secs(10);

/// Identifies an attempt, so that the end of an earlier one is not mistaken for its end.
pub(super) type Number = u64;

/// `A` is an attempt, and the connection that it results in.
pub(super) struct ConnectionBreaker<A> {
    state: State<A>,
    /// How long an attempt may take. One that is much older was cut short by a freeze.
    attempt_timeout: Duration,
    attempts: Number,
    /// The next pause.
    next_pause: Duration,
}

enum State<A> {
    Disconnected,
    Connected(Attempt<A>),
    Backoff { since: Moment, pause: Duration },
    Probing(Attempt<A>),
}

struct Attempt<A> {
    number: Number,
    connection: A,
    start: Moment,
    /// When it last answered a call.
    answered: Option<Moment>,
}

/// What an admitted call may use.
pub(super) struct Pass<A> {
    pub(super) number: Number,
    pub(super) connection: A,
    /// The connection has been silent for so long that it may be dead.
    pub(super) idle: bool,
}

impl<A: Clone> ConnectionBreaker<A> {
    pub(super) fn new(attempt_timeout: Duration) -> Self {
        Self {
            state: State::Disconnected,
            attempt_timeout,
            attempts: 0,
            next_pause: PAUSES[0],
        }
    }

    /// What a call may use; `None` when it is rejected. `connect` starts an attempt.
    pub(super) fn admit(
        &mut self,
        now: Moment,
        connect: impl FnOnce(Number) -> A,
    ) -> Option<Pass<A>> {
        match &self.state {
            State::Disconnected => Some(self.connect_and_wait(now, connect)),
            State::Connected(attempt) => Some(attempt.pass(now)),
            State::Backoff { since, pause } if now.since(*since) >= *pause => {
                Some(self.probe(now, connect))
            }
            State::Probing(attempt) if self.was_frozen(attempt.start, now) => {
                Some(self.probe(now, connect))
            }
            State::Backoff { .. } | State::Probing(_) => None,
        }
    }

    /// The same for a caller that can't do without the server: it gets an attempt even during a
    /// backoff.
    pub(super) fn force_attempt(
        &mut self,
        now: Moment,
        connect: impl FnOnce(Number) -> A,
    ) -> Pass<A> {
        match &self.state {
            State::Connected(attempt) => attempt.pass(now),
            State::Probing(attempt) if !self.was_frozen(attempt.start, now) => attempt.pass(now),
            State::Disconnected => self.connect_and_wait(now, connect),
            State::Backoff { .. } | State::Probing(_) => self.probe(now, connect),
        }
    }

    /// The connection of this attempt answered a call.
    pub(super) fn answered(&mut self, number: Number, now: Moment) {
        if let State::Connected(attempt) = &mut self.state
            && attempt.number == number
        {
            attempt.answered = Some(now);
            self.next_pause = PAUSES[0];
        }
    }

    /// The connection of this attempt is no longer usable, but nothing is known to be wrong with
    /// the server: the next call reconnects.
    pub(super) fn lost(&mut self, number: Number) {
        if matches!(&self.state, State::Connected(attempt) if attempt.number == number) {
            self.state = State::Disconnected;
        }
    }

    /// The server let a call wait too long, or can't serve requests. An attempt that is still in
    /// progress continues. Returns whether this began a backoff.
    pub(super) fn failed(&mut self, number: Number, now: Moment, connecting: bool) -> bool {
        if !matches!(&self.state, State::Connected(attempt) if attempt.number == number) {
            return false;
        }
        let pause = self.take_pause();
        match std::mem::replace(&mut self.state, State::Backoff { since: now, pause }) {
            State::Connected(attempt) if connecting => self.state = State::Probing(attempt),
            _ => {}
        }
        true
    }

    /// This attempt has ended. Returns the transition that this caused.
    pub(super) fn ended(&mut self, number: Number, succeeded: bool) -> Option<Transition> {
        let (State::Connected(attempt) | State::Probing(attempt)) = &self.state else {
            return None;
        };
        if attempt.number != number {
            return None;
        }
        let (was_connected, start) = (matches!(self.state, State::Connected(_)), attempt.start);
        if succeeded {
            self.state = match std::mem::replace(&mut self.state, State::Disconnected) {
                State::Probing(attempt) => State::Connected(attempt),
                other => other,
            };
            return (!was_connected).then_some(Transition::Connected);
        }
        // The pause counts from the attempt's start: after a freeze it is over already, and a slow
        // failure does not prolong it.
        self.state = State::Backoff {
            since: start,
            pause: self.take_pause(),
        };
        was_connected.then_some(Transition::BackedOff)
    }

    fn connect_and_wait(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Pass<A> {
        let attempt = self.begin(now, connect);
        let pass = attempt.pass(now);
        self.state = State::Connected(attempt);
        pass
    }

    fn probe(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Pass<A> {
        let attempt = self.begin(now, connect);
        let pass = attempt.pass(now);
        self.state = State::Probing(attempt);
        pass
    }

    fn was_frozen(&self, start: Moment, now: Moment) -> bool {
        now.since(start) > self.attempt_timeout * 2
    }

    fn begin(&mut self, now: Moment, connect: impl FnOnce(Number) -> A) -> Attempt<A> {
        self.attempts += 1;
        Attempt {
            number: self.attempts,
            connection: connect(self.attempts),
            start: now,
            answered: None,
        }
    }

    fn take_pause(&mut self) -> Duration {
        let pause = self.next_pause;
        self.next_pause = (pause * 2).min(PAUSES[1]);
        pause
    }
}

/// A change of state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Transition {
    Connected,
    BackedOff,
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

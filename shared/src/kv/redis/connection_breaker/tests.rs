use jiff::SignedDuration;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::clock::Clock;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// A breaker and a manual clock. Attempts are represented by their numbers.
struct Fixture {
    breaker: ConnectionBreaker<Number>,
    now: Moment,
}

impl Fixture {
    fn new() -> Self {
        Self {
            breaker: ConnectionBreaker::new(ATTEMPT_TIMEOUT),
            now: Moment::now(&Clock::System),
        }
    }

    /// With a connection that has answered.
    fn connected() -> Self {
        let mut fixture = Self::new();
        let number = fixture.admit().unwrap();
        assert_eq!(fixture.breaker.ended(number, true), None);
        fixture.breaker.answered(number, fixture.now);
        fixture
    }

    /// In the backoff after a time-out.
    fn backed_off() -> Self {
        let mut fixture = Self::connected();
        assert!(fixture.breaker.failed(1, fixture.now, false));
        fixture
    }

    fn passes(&mut self) -> Option<Pass<Number>> {
        self.breaker.admit(self.now, |number| number)
    }

    fn admit(&mut self) -> Option<Number> {
        self.passes().map(|pass| pass.connection)
    }

    fn wait(&mut self, milliseconds: u64) {
        let duration = Duration::from_millis(milliseconds);
        self.now = self.now.after(duration, duration.try_into().unwrap());
    }

    /// A freeze, during which the monotonic clock stops.
    fn freeze(&mut self) {
        self.now = self.now.after(Duration::ZERO, SignedDuration::from_mins(1));
    }
}

#[test]
fn the_first_call_connects_and_the_others_wait_for_the_same_attempt() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.admit(), Some(1));
    assert_eq!(fixture.admit(), Some(1));
}

#[test]
fn after_a_failure_all_calls_are_rejected_at_once() {
    let mut fixture = Fixture::backed_off();
    assert_eq!(fixture.admit(), None);
    assert!(
        !fixture.breaker.failed(1, fixture.now, false),
        "a second failure of the same attempt changes nothing"
    );
}

#[test]
fn after_the_pause_only_the_call_that_starts_the_attempt_waits_for_it() {
    let mut fixture = Fixture::backed_off();
    fixture.wait(249);
    assert_eq!((fixture.admit(), fixture.breaker.attempts), (None, 1));
    fixture.wait(1);
    assert_eq!((fixture.admit(), fixture.breaker.attempts), (Some(2), 2));
    assert_eq!((fixture.admit(), fixture.breaker.attempts), (None, 2));
    assert_eq!(fixture.breaker.ended(2, true), Some(Transition::Connected));
    assert_eq!(fixture.admit(), Some(2));
}

#[test]
fn pauses_grow_to_a_second() {
    let mut fixture = Fixture::backed_off();
    for (pause, number) in [(250, 2), (500, 3), (1000, 4), (1000, 5)] {
        fixture.wait(pause - 1);
        assert_eq!(
            (fixture.admit(), fixture.breaker.attempts),
            (None, number - 1)
        );
        fixture.wait(1);
        assert_eq!(fixture.admit(), Some(number));
        assert_eq!(fixture.breaker.ended(number, false), None);
    }
}

#[test]
fn a_pause_counts_from_the_start_of_the_previous_attempt() {
    let mut fixture = Fixture::backed_off();
    fixture.wait(250);
    fixture.admit();
    // A black hole: the attempt takes as long as it may.
    fixture.wait(1000);
    fixture.breaker.ended(2, false);
    assert_eq!(fixture.admit(), Some(3));
}

#[test]
fn only_an_answered_call_resets_the_pause() {
    let mut fixture = Fixture::backed_off();
    fixture.wait(250);
    fixture.admit();
    fixture.breaker.ended(2, true);
    // The server answers PING and nothing else.
    assert!(fixture.breaker.failed(2, fixture.now, false));
    fixture.wait(499);
    fixture.admit();
    assert_eq!(fixture.breaker.attempts, 2);
    fixture.wait(1);
    fixture.admit();
    fixture.breaker.ended(3, true);
    fixture.breaker.answered(3, fixture.now);
    assert!(fixture.breaker.failed(3, fixture.now, false));
    fixture.wait(250);
    fixture.admit();
    assert_eq!(fixture.breaker.attempts, 4);
}

#[test]
fn an_attempt_that_outlasts_its_call_becomes_the_probe() {
    let mut fixture = Fixture::new();
    fixture.admit();
    fixture.wait(50);
    assert!(fixture.breaker.failed(1, fixture.now, true));
    assert_eq!(fixture.admit(), None);
    assert_eq!(fixture.breaker.ended(1, true), Some(Transition::Connected));
    assert_eq!(fixture.admit(), Some(1));
}

#[test]
fn a_lost_connection_is_replaced_at_once() {
    let mut fixture = Fixture::connected();
    fixture.breaker.lost(1);
    assert_eq!(fixture.admit(), Some(2));
    fixture.breaker.lost(1);
    assert_eq!(
        fixture.admit(),
        Some(2),
        "a second call that lost the first connection"
    );
    assert_eq!(fixture.breaker.ended(2, false), Some(Transition::BackedOff));
    assert_eq!(fixture.admit(), None);
}

#[test]
fn a_pause_ends_even_when_one_of_the_clocks_does_not_advance() {
    let mut fixture = Fixture::backed_off();
    fixture.freeze();
    fixture.admit();
    assert_eq!(fixture.breaker.attempts, 2);

    let mut fixture = Fixture::backed_off();
    // The wall clock is set back by an hour.
    fixture.now = fixture
        .now
        .after(Duration::from_millis(250), SignedDuration::from_hours(-1));
    fixture.admit();
    assert_eq!(fixture.breaker.attempts, 2);
}

#[test]
fn an_attempt_cut_short_by_a_freeze_is_followed_by_another_at_once() {
    let mut fixture = Fixture::backed_off();
    fixture.wait(250);
    fixture.admit();
    fixture.freeze();
    // The attempt is still in progress, perhaps over a dead connection.
    assert_eq!(fixture.admit(), Some(3));
    // The end of the old attempt means nothing now.
    assert_eq!(fixture.breaker.ended(2, true), None);
    assert_eq!((fixture.admit(), fixture.breaker.attempts), (None, 3));
    fixture.freeze();
    // This attempt timed out as soon as the instance woke.
    fixture.breaker.ended(3, false);
    assert_eq!(fixture.admit(), Some(4));
}

#[test]
fn a_connection_that_was_silent_for_long_counts_as_idle() {
    let mut fixture = Fixture::connected();
    assert!(!fixture.passes().unwrap().idle);
    fixture.freeze();
    assert!(fixture.passes().unwrap().idle);
    fixture.breaker.answered(1, fixture.now);
    assert!(!fixture.passes().unwrap().idle);
}

#[test]
fn a_forced_attempt_is_made_even_during_a_backoff() {
    let mut fixture = Fixture::backed_off();
    let pass = fixture.breaker.force_attempt(fixture.now, |number| number);
    assert_eq!(pass.connection, 2);
    assert_eq!(
        fixture
            .breaker
            .force_attempt(fixture.now, |number| number)
            .connection,
        2
    );
    assert_eq!(fixture.admit(), None);
    fixture.breaker.ended(2, true);
    assert_eq!(
        fixture
            .breaker
            .force_attempt(fixture.now, |number| number)
            .connection,
        2
    );
}

#[derive(Debug, Clone)]
enum Step {
    Call,
    Wait(u64),
    Freeze,
    Answered,
    Lost,
    Failed(bool),
    Ended(bool),
}

proptest! {
    /// Whatever happened: a server that has recovered is used again after a pause and two calls.
    #[test]
    fn no_history_keeps_the_breaker_from_reconnecting(events in vec(prop_oneof![
        Just(Step::Call), (0_u64..3000).prop_map(Step::Wait), Just(Step::Freeze), Just(Step::Answered),
        Just(Step::Lost), any::<bool>().prop_map(Step::Failed), any::<bool>().prop_map(Step::Ended),
    ], 0..60)) {
        let mut fixture = Fixture::new();
        for event in events {
            let number = fixture.breaker.attempts;
            match event {
                Step::Call => drop(fixture.admit()),
                Step::Wait(time) => fixture.wait(time),
                Step::Freeze => fixture.freeze(),
                Step::Answered => fixture.breaker.answered(number, fixture.now),
                Step::Lost => fixture.breaker.lost(number),
                Step::Failed(connecting) => drop(fixture.breaker.failed(number, fixture.now, connecting)),
                Step::Ended(succeeded) => drop(fixture.breaker.ended(number, succeeded)),
            }
        }
        // An attempt in progress ends, at the latest by its time-out.
        fixture.breaker.ended(fixture.breaker.attempts, false);
        fixture.wait(1000);
        fixture.admit();
        fixture.breaker.ended(fixture.breaker.attempts, true);
        prop_assert_eq!(fixture.admit(), Some(fixture.breaker.attempts));
    }
}

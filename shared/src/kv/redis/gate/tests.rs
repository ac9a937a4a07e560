use jiff::SignedDuration;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::clock::Clock;

const PATIENCE: Duration = Duration::from_secs(1);

/// A gate, and a time that is moved by hand. Attempts are their numbers.
struct Stage {
    gate: Gate<Number>,
    now: Moment,
}

impl Stage {
    fn new() -> Self {
        Self {
            gate: Gate::new(PATIENCE),
            now: Moment::now(&Clock::System),
        }
    }

    /// Open, with a connection that has answered.
    fn connected() -> Self {
        let mut stage = Self::new();
        let number = stage.admit().unwrap();
        assert_eq!(stage.gate.ended(number, true, stage.now), None);
        stage.gate.answered(number, stage.now);
        stage
    }

    /// Shut by a time-out.
    fn shut() -> Self {
        let mut stage = Self::connected();
        assert!(stage.gate.failed(1, stage.now, false));
        stage
    }

    fn passes(&mut self) -> Option<Pass<Number>> {
        self.gate.admit(self.now, |number| number)
    }

    fn admit(&mut self) -> Option<Number> {
        self.passes().map(|pass| pass.connection)
    }

    fn wait(&mut self, milliseconds: u64) {
        let duration = Duration::from_millis(milliseconds);
        self.now = self.now.after(duration, duration.try_into().unwrap());
    }

    /// An instance whose monotonic clock stands still while it is frozen.
    fn freeze(&mut self) {
        self.now = self.now.after(Duration::ZERO, SignedDuration::from_mins(1));
    }
}

#[test]
fn the_first_question_connects_and_the_others_wait_for_the_same_attempt() {
    let mut stage = Stage::new();
    assert_eq!(stage.admit(), Some(1));
    assert_eq!(stage.admit(), Some(1));
}

#[test]
fn a_failure_shuts_the_gate_for_everybody_at_once() {
    let mut stage = Stage::shut();
    assert_eq!(stage.admit(), None);
    assert!(
        !stage.gate.failed(1, stage.now, false),
        "the others that waited change nothing"
    );
}

#[test]
fn after_the_rest_one_attempt_is_made_and_nobody_waits_for_it() {
    let mut stage = Stage::shut();
    stage.wait(249);
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 1));
    stage.wait(1);
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 2));
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 2));
    assert_eq!(stage.gate.ended(2, true, stage.now), Some(Turn::Opened));
    assert_eq!(stage.admit(), Some(2));
}

#[test]
fn rests_grow_to_a_second() {
    let mut stage = Stage::shut();
    for (rest, number) in [(250, 2), (500, 3), (1000, 4), (1000, 5)] {
        stage.wait(rest - 1);
        assert_eq!((stage.admit(), stage.gate.attempts), (None, number - 1));
        stage.wait(1);
        assert_eq!((stage.admit(), stage.gate.attempts), (None, number));
        assert_eq!(stage.gate.ended(number, false, stage.now), None);
    }
}

#[test]
fn a_rest_counts_from_the_start_of_the_attempt_before_it() {
    let mut stage = Stage::shut();
    stage.wait(250);
    stage.admit();
    // A black hole: the attempt takes as long as it may.
    stage.wait(1000);
    stage.gate.ended(2, false, stage.now);
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 3));
}

#[test]
fn only_an_answered_question_makes_rests_short_again() {
    let mut stage = Stage::shut();
    stage.wait(250);
    stage.admit();
    stage.gate.ended(2, true, stage.now);
    // It answers PING and nothing else.
    assert!(stage.gate.failed(2, stage.now, false));
    stage.wait(499);
    stage.admit();
    assert_eq!(stage.gate.attempts, 2);
    stage.wait(1);
    stage.admit();
    stage.gate.ended(3, true, stage.now);
    stage.gate.answered(3, stage.now);
    assert!(stage.gate.failed(3, stage.now, false));
    stage.wait(250);
    stage.admit();
    assert_eq!(stage.gate.attempts, 4);
}

#[test]
fn an_attempt_that_a_question_had_no_time_to_wait_for_is_the_probe() {
    let mut stage = Stage::new();
    stage.admit();
    stage.wait(50);
    assert!(stage.gate.failed(1, stage.now, true));
    assert_eq!(stage.admit(), None);
    assert_eq!(stage.gate.ended(1, true, stage.now), Some(Turn::Opened));
    assert_eq!(stage.admit(), Some(1));
}

#[test]
fn a_lost_connection_is_replaced_at_once() {
    let mut stage = Stage::connected();
    stage.gate.lost(1);
    assert_eq!(stage.admit(), Some(2));
    stage.gate.lost(1);
    assert_eq!(
        stage.admit(),
        Some(2),
        "a second question that lost the first connection"
    );
    assert_eq!(stage.gate.ended(2, false, stage.now), Some(Turn::Shut));
    assert_eq!(stage.admit(), None);
}

#[test]
fn a_freeze_ends_a_rest_whichever_clock_stood_still() {
    let mut stage = Stage::shut();
    stage.freeze();
    stage.admit();
    assert_eq!(stage.gate.attempts, 2);

    let mut stage = Stage::shut();
    // The wall clock is set back by an hour.
    stage.now = stage
        .now
        .after(Duration::from_millis(250), SignedDuration::from_hours(-1));
    stage.admit();
    assert_eq!(stage.gate.attempts, 2);
}

#[test]
fn an_attempt_that_a_freeze_cut_short_is_followed_by_another_at_once() {
    let mut stage = Stage::shut();
    stage.wait(250);
    stage.admit();
    stage.freeze();
    // It is still on its way, over a connection that is dead perhaps.
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 3));
    // Whatever the old one says now means nothing.
    assert_eq!(stage.gate.ended(2, true, stage.now), None);
    assert_eq!((stage.admit(), stage.gate.attempts), (None, 3));
    stage.freeze();
    // Or its time was up as soon as the instance woke.
    stage.gate.ended(3, false, stage.now);
    assert_eq!(
        (stage.admit(), stage.gate.attempts),
        (Some(4), 4),
        "the third one is waited for"
    );
}

#[test]
fn a_connection_that_was_silent_for_long_may_be_dead() {
    let mut stage = Stage::connected();
    assert!(!stage.passes().unwrap().idle);
    stage.freeze();
    assert!(stage.passes().unwrap().idle);
    stage.gate.answered(1, stage.now);
    assert!(!stage.passes().unwrap().idle);
}

#[test]
fn who_insists_gets_an_attempt_even_at_a_shut_gate() {
    let mut stage = Stage::shut();
    let pass = stage.gate.insist(stage.now, |number| number);
    assert_eq!(pass.connection, 2);
    assert_eq!(stage.gate.insist(stage.now, |number| number).connection, 2);
    assert_eq!(stage.admit(), None);
    stage.gate.ended(2, true, stage.now);
    assert_eq!(stage.gate.insist(stage.now, |number| number).connection, 2);
}

#[derive(Debug, Clone)]
enum Event {
    Ask,
    Wait(u64),
    Freeze,
    Answered,
    Lost,
    Failed(bool),
    Ended(bool),
}

proptest! {
    /// Whatever happened: a server that is well again is used again after a rest and two questions.
    #[test]
    fn no_history_keeps_the_gate_shut(events in vec(prop_oneof![
        Just(Event::Ask), (0_u64..3000).prop_map(Event::Wait), Just(Event::Freeze), Just(Event::Answered),
        Just(Event::Lost), any::<bool>().prop_map(Event::Failed), any::<bool>().prop_map(Event::Ended),
    ], 0..60)) {
        let mut stage = Stage::new();
        for event in events {
            let number = stage.gate.attempts;
            match event {
                Event::Ask => drop(stage.admit()),
                Event::Wait(time) => stage.wait(time),
                Event::Freeze => stage.freeze(),
                Event::Answered => stage.gate.answered(number, stage.now),
                Event::Lost => stage.gate.lost(number),
                Event::Failed(connecting) => drop(stage.gate.failed(number, stage.now, connecting)),
                Event::Ended(succeeded) => drop(stage.gate.ended(number, succeeded, stage.now)),
            }
        }
        // An attempt on its way comes to its end, if only because its time is up.
        stage.gate.ended(stage.gate.attempts, false, stage.now);
        stage.wait(1000);
        stage.admit();
        stage.gate.ended(stage.gate.attempts, true, stage.now);
        prop_assert_eq!(stage.admit(), Some(stage.gate.attempts));
    }
}

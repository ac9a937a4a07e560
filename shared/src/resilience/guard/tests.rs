use jiff::Timestamp;

use super::*;
use crate::{clock::ManualClock, config::Env, kv::Step, resilience::breaker::Force};

struct Fixture {
    clock: ManualClock,
    guard: Guard,
}

/// A guard that opens at 4 calls, for a second at first, and gives a probe 5 s.
fn fixture(shared: impl FnOnce(Clock) -> Option<Kv>) -> Fixture {
    let clock = ManualClock::new("2026-11-24T08:00:00Z".parse::<Timestamp>().unwrap());
    let settings = BreakerSettings::read(&Env::new([
        ("BREAKER_MIN_CALLS", "4"),
        ("BREAKER_OPEN_MS", "1000"),
    ]));
    let manual = Clock::Manual(clock.clone());
    let parts = GuardParts {
        shared: shared(manual.clone()),
        clock: manual,
        random: Random::seeded(1),
    };
    let guard = Guard::new("upstream", &settings, parts).unwrap();
    Fixture { clock, guard }
}

/// A single process: its memory is the shared state.
fn alone() -> Fixture {
    fixture(|clock| Some(Kv::Memory(MemoryStore::new(clock))))
}

/// As on Lambda without Redis: each instance has only its local breaker, which opens at 2 calls.
fn unshared() -> Fixture {
    fixture(|_| None)
}

async fn call(guard: &Guard, outcome: CallOutcome) {
    guard.acquire().await.unwrap().end(outcome).await;
}

async fn is_refused(guard: &Guard) -> bool {
    guard.acquire().await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_guard_opens_when_enough_calls_fail_and_says_for_how_long() {
    for (fixture, enough) in [(alone(), 4), (unshared(), 2)] {
        for _ in 0..enough {
            assert!(!is_refused(&fixture.guard).await);
            call(&fixture.guard, CallOutcome::Failed).await;
        }
        let refused = fixture.guard.acquire().await.err().unwrap();
        assert!(
            (Duration::from_secs(1)..=Duration::from_millis(1200)).contains(&refused.retry_after),
            "{refused:?}"
        );
        assert!(fixture.guard.record_reply(None, None).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_the_guard_and_unknown_outcomes_do_not() {
    let Fixture { guard, .. } = alone();
    for _ in 0..20 {
        call(&guard, CallOutcome::Unknown).await;
    }
    for _ in 0..4 {
        call(&guard, CallOutcome::Slow).await;
    }
    assert!(is_refused(&guard).await);
}

#[tokio::test(start_paused = true)]
async fn successes_are_sent_with_the_next_check_and_outweigh_failures() {
    let Fixture { guard, clock } = alone();
    for _ in 0..10 {
        call(&guard, CallOutcome::Good).await;
    }
    // The last reply is no longer fresh: the next call checks, and takes the successes along.
    clock.advance_seconds(1);
    for _ in 0..9 {
        call(&guard, CallOutcome::Failed).await;
    }
    assert!(!is_refused(&guard).await, "9 of 19");
    call(&guard, CallOutcome::Failed).await;
    assert!(is_refused(&guard).await, "10 of 20");
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides() {
    for (fixture, enough) in [(alone(), 4), (unshared(), 2)] {
        let Fixture { guard, clock } = fixture;
        for _ in 0..enough {
            call(&guard, CallOutcome::Failed).await;
        }
        clock.advance_seconds(2);
        let probe = guard.acquire().await.unwrap();
        assert!(is_refused(&guard).await, "the probe is taken");
        probe.end(CallOutcome::Failed).await;
        assert!(
            is_refused(&guard).await,
            "it failed, and the time has doubled"
        );
        clock.advance_seconds(3);
        call(&guard, CallOutcome::Good).await;
        for _ in 0..3 {
            call(&guard, CallOutcome::Good).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreported_probe_delays_recovery_by_its_lease() {
    let Fixture { guard, clock } = alone();
    for _ in 0..4 {
        call(&guard, CallOutcome::Failed).await;
    }
    clock.advance_seconds(2);
    drop(guard.acquire().await.unwrap());
    clock.advance_seconds(4);
    assert!(is_refused(&guard).await);
    clock.advance_seconds(1);
    call(&guard, CallOutcome::Good).await;
    assert!(!is_refused(&guard).await);
}

#[tokio::test(start_paused = true)]
async fn a_guard_without_outcomes_writes_nothing() {
    let mut store = None;
    let Fixture { guard, .. } =
        fixture(|clock| Some(Kv::Memory(store.insert(MemoryStore::new(clock)).clone())));
    drop(guard.acquire().await.unwrap());
    assert_eq!(store.unwrap().get(["{brk:upstream}"]), [None]);
}

/// A guard beside an operator's hand on the same state.
fn operated() -> (Fixture, impl Fn(Force)) {
    let mut store = None;
    let fixture = fixture(|clock| Some(Kv::Memory(store.insert(MemoryStore::new(clock)).clone())));
    let random = Random::seeded(2);
    let settings = BreakerSettings::read(&Env::new([("BREAKER_OPEN_MS", "1000")]));
    let operator = Breaker::new(
        "upstream",
        &settings,
        InstanceId::draw(&random),
        random.clone(),
    )
    .unwrap();
    let store = store.unwrap();
    (fixture, move |force| {
        let _ = store.step(&operator.force(force));
    })
}

#[tokio::test(start_paused = true)]
async fn a_forced_open_breaker_refuses_for_as_long_as_was_ordered() {
    let (Fixture { guard, clock }, force) = operated();
    force(Force::Open(Duration::from_hours(1)));
    for passed in [0, 1, 1800] {
        clock.advance_seconds(passed);
        assert!(is_refused(&guard).await, "{passed}");
    }
    let refused = guard.acquire().await.err().unwrap();
    assert_eq!(refused.retry_after, Duration::from_secs(3600 - 1801));
}

#[tokio::test(start_paused = true)]
async fn closing_or_resetting_a_forced_open_breaker_is_noticed_within_a_second() {
    for undo in [Force::Closed(Duration::from_hours(1)), Force::Reset] {
        let (Fixture { guard, clock }, force) = operated();
        force(Force::Open(Duration::from_hours(1)));
        assert!(is_refused(&guard).await);
        force(undo);
        assert!(guard.check().is_none(), "a question is spared");
        clock.advance_seconds(1);
        assert!(guard.check().is_some(), "the next admission asks");
        assert!(!is_refused(&guard).await, "{undo:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlasts_a_missing_reply_by_a_minute_at_most() {
    let (Fixture { guard, clock }, force) = operated();
    force(Force::Open(Duration::from_hours(1)));
    assert!(is_refused(&guard).await);
    clock.advance_seconds(59);
    assert!(guard.record_reply(guard.check(), None).is_err());
    clock.advance_seconds(1);
    assert!(guard.record_reply(guard.check(), None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn successes_of_a_check_without_a_reply_are_sent_with_the_next_one() {
    for ending in ["no reply", "dropped"] {
        let Fixture { guard, clock } = alone();
        for _ in 0..10 {
            call(&guard, CallOutcome::Good).await;
        }
        clock.advance_seconds(1);
        let check = guard.check();
        assert!(check.is_some());
        if ending == "dropped" {
            drop(check);
        } else {
            guard.record_reply(check, None).unwrap();
        }
        for _ in 0..9 {
            call(&guard, CallOutcome::Failed).await;
        }
        assert!(!is_refused(&guard).await, "9 of 19: {ending}");
        call(&guard, CallOutcome::Failed).await;
        assert!(is_refused(&guard).await, "10 of 20: {ending}");
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_checks_do_not_count_a_success_twice() {
    let Fixture { guard, clock } = alone();
    for _ in 0..4 {
        call(&guard, CallOutcome::Good).await;
    }
    clock.advance_seconds(1);
    let goods = |check: &Option<GuardCheck<'_>>| {
        // The total of the calls that it reports.
        check.as_ref().unwrap().arguments()[4]
    };
    let (first, second) = (guard.check(), guard.check());
    assert_eq!((goods(&first), goods(&second)), (4, 0));
    guard.record_reply(second, Some(&[0, 0, 0, 0])).unwrap();
    guard.record_reply(first, Some(&[0, 0, 0, 0])).unwrap();
    assert_eq!(
        goods(&guard.check()),
        0,
        "a reply shows that they are counted"
    );
}

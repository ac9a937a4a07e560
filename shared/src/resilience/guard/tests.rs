use jiff::Timestamp;

use super::*;
use crate::{clock::ManualClock, config::Env};

struct Scene {
    clock: ManualClock,
    guard: Guard,
}

/// A guard that opens at 4 calls, for a second at first, and gives a probe 5 s.
fn scene(shared: impl FnOnce(Clock) -> Option<Kv>) -> Scene {
    let clock = ManualClock::new("2026-11-24T08:00:00Z".parse::<Timestamp>().unwrap());
    let settings = BreakerSettings::read(&Env::new([
        ("BREAKER_MIN_CALLS", "4"),
        ("BREAKER_OPEN_MS", "1000"),
    ]));
    let parts = (Clock::Manual(clock.clone()), Random::seeded(1));
    let guard = Guard::new(
        "upstream",
        &settings,
        shared(Clock::Manual(clock.clone())),
        parts,
    )
    .unwrap();
    Scene { clock, guard }
}

/// As in one process: its memory is what instances share.
fn alone() -> Scene {
    scene(|clock| Some(Kv::Memory(MemoryStore::new(clock))))
}

/// As on Lambda without Redis: each instance has only itself. It opens at 2 calls.
fn unshared() -> Scene {
    scene(|_| None)
}

async fn call(guard: &Guard, verdict: Verdict) {
    guard.enter().await.unwrap().end(verdict).await;
}

async fn is_refused(guard: &Guard) -> bool {
    guard.enter().await.is_err()
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_enough_calls_fail_and_says_for_how_long() {
    for (scene, enough) in [(alone(), 4), (unshared(), 2)] {
        for _ in 0..enough {
            assert!(!is_refused(&scene.guard).await);
            call(&scene.guard, Verdict::Failed).await;
        }
        let refused = scene.guard.enter().await.err().unwrap();
        assert!(
            (Duration::from_secs(1)..=Duration::from_millis(1200)).contains(&refused.retry_after),
            "{refused:?}"
        );
        assert!(scene.guard.hear(None).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_unknown_ones_do_not() {
    let Scene { guard, .. } = alone();
    for _ in 0..20 {
        call(&guard, Verdict::Unknown).await;
    }
    for _ in 0..4 {
        call(&guard, Verdict::Slow).await;
    }
    assert!(is_refused(&guard).await);
}

#[tokio::test(start_paused = true)]
async fn good_calls_ride_along_with_the_next_look_and_outweigh_failures() {
    let Scene { guard, clock } = alone();
    for _ in 0..10 {
        call(&guard, Verdict::Good).await;
    }
    // What was heard before is not believed any more: the next call looks, and takes them along.
    clock.advance_seconds(1);
    for _ in 0..9 {
        call(&guard, Verdict::Failed).await;
    }
    assert!(!is_refused(&guard).await, "9 of 19");
    call(&guard, Verdict::Failed).await;
    assert!(is_refused(&guard).await, "10 of 20");
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_decides() {
    for (scene, enough) in [(alone(), 4), (unshared(), 2)] {
        let Scene { guard, clock } = scene;
        for _ in 0..enough {
            call(&guard, Verdict::Failed).await;
        }
        clock.advance_seconds(2);
        let probe = guard.enter().await.unwrap();
        assert!(is_refused(&guard).await, "the probe is taken");
        probe.end(Verdict::Failed).await;
        assert!(
            is_refused(&guard).await,
            "it failed, and the time has doubled"
        );
        clock.advance_seconds(3);
        call(&guard, Verdict::Good).await;
        for _ in 0..3 {
            call(&guard, Verdict::Good).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_never_heard_of_delays_recovery_by_its_lease() {
    let Scene { guard, clock } = alone();
    for _ in 0..4 {
        call(&guard, Verdict::Failed).await;
    }
    clock.advance_seconds(2);
    drop(guard.enter().await.unwrap());
    clock.advance_seconds(4);
    assert!(is_refused(&guard).await);
    clock.advance_seconds(1);
    call(&guard, Verdict::Good).await;
    assert!(!is_refused(&guard).await);
}

#[tokio::test(start_paused = true)]
async fn a_guard_with_nothing_to_tell_writes_nothing() {
    let mut store = None;
    let Scene { guard, .. } =
        scene(|clock| Some(Kv::Memory(store.insert(MemoryStore::new(clock)).clone())));
    drop(guard.enter().await.unwrap());
    assert_eq!(store.unwrap().get(["{brk:upstream}"]), [None]);
}

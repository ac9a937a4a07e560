use std::time::Duration;

use jiff::SignedDuration;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    ids::UserId,
    kv::Micros,
    resilience::rate_limit::{Identity, Policy},
};

const NOW: Micros = 1_800_000_000_000_000;

fn charge(user: u128, cost: u32) -> Charge {
    let policy = Policy::new("a", 10, 1, Duration::from_secs(1)).unwrap();
    Charge::new(
        Identity::User(UserId(uuid::Uuid::from_u128(user))),
        vec![policy.cost(cost).unwrap()],
    )
}

/// The decision that the store returns when the bucket is full again `full_in` milliseconds from
/// now.
fn decision(charge: &Charge, full_in: i64) -> Decision {
    charge
        .decision(
            &charge
                .apply(NOW, &[Some((NOW + full_in * 1000).to_string().into())])
                .reply,
        )
        .unwrap()
}

/// The same time after `start`, in milliseconds, on both clocks.
fn after(start: Moment, time: u64) -> Moment {
    start.after(
        Duration::from_millis(time),
        SignedDuration::from_millis(time.cast_signed()),
    )
}

#[test]
fn a_denial_is_repeated_until_its_time_is_over() {
    let (denials, charge, start) = (
        Denials::new(Clock::System),
        charge(1, 1),
        Moment::now(&Clock::System),
    );
    denials.remember_at(start, &charge, &decision(&charge, 10_000));
    let recalled = denials.recall_at(after(start, 400), &charge).unwrap();
    assert!(!recalled.is_admitted());
    assert_eq!(recalled.retry_after(), Duration::from_millis(600));
    assert_eq!(recalled.buckets[0].reset_after, Duration::from_millis(9600));
    assert_eq!(denials.recall_at(after(start, 1000), &charge), None);
    assert!(denials.lock().is_empty());
}

#[test]
fn an_admission_is_not_remembered() {
    let (denials, charge, start) = (
        Denials::new(Clock::System),
        charge(1, 1),
        Moment::now(&Clock::System),
    );
    denials.remember(&charge, &decision(&charge, 9000));
    assert_eq!(denials.recall_at(start, &charge), None);
}

#[test]
fn a_denied_cost_says_nothing_about_a_lower_one() {
    let (denials, start) = (Denials::new(Clock::System), Moment::now(&Clock::System));
    let (dear, cheap) = (charge(1, 5), charge(1, 1));
    denials.remember_at(start, &dear, &decision(&dear, 8000));
    assert_eq!(denials.recall_at(start, &cheap), None);
    assert!(denials.recall_at(start, &charge(1, 6)).is_some());
}

#[test]
fn another_identity_is_not_denied() {
    let (denials, charge_1, start) = (
        Denials::new(Clock::System),
        charge(1, 1),
        Moment::now(&Clock::System),
    );
    denials.remember_at(start, &charge_1, &decision(&charge_1, 10_000));
    assert_eq!(denials.recall_at(start, &charge(2, 1)), None);
}

#[test]
fn the_least_recently_used_denial_is_evicted_first() {
    let (denials, start) = (Denials::new(Clock::System), Moment::now(&Clock::System));
    for user in 0..=CAPACITY.get() as u128 {
        denials.remember_at(start, &charge(user, 1), &decision(&charge(user, 1), 10_000));
        assert!(
            denials.recall_at(start, &charge(0, 1)).is_some(),
            "recalled in each round"
        );
    }
    assert_eq!(denials.lock().len(), CAPACITY.get());
    assert_eq!(denials.recall_at(start, &charge(1, 1)), None);
}

/// What happens to the clocks between two requests.
#[derive(Debug, Clone)]
enum Pause {
    /// Nothing.
    Fair,
    /// The instance was frozen: its monotonic clock stopped.
    Frozen,
    /// The wall clock was set, by this many milliseconds.
    Set(i64),
}

fn pauses() -> impl Strategy<Value = Vec<(u64, Pause)>> {
    // Both in one run would leave no clock to measure with.
    let unfair = prop_oneof![
        Just(Just(Pause::Frozen).boxed()),
        Just((-100_000..100_000i64).prop_map(Pause::Set).boxed()),
    ];
    unfair.prop_flat_map(|unfair| vec((0u64..400, prop_oneof![Just(Pause::Fair), unfair]), 1..20))
}

proptest! {
    #[test]
    fn no_denial_lasts_longer_than_its_retry_after(full_in in 9001i64..=10_000, pauses in pauses()) {
        let (denials, charge, start) = (Denials::new(Clock::System), charge(1, 1), Moment::now(&Clock::System));
        let denied = decision(&charge, full_in);
        denials.remember_at(start, &charge, &denied);
        let (mut elapsed, mut wall, mut monotonic) = (0, 0, 0);
        for (time, pause) in pauses {
            elapsed += time;
            wall += time.cast_signed();
            match pause {
                Pause::Fair => monotonic += time,
                Pause::Frozen => {}
                Pause::Set(by) => { monotonic += time; wall += by; }
            }
            let recalled = denials.recall_at(start.after(Duration::from_millis(monotonic), SignedDuration::from_millis(wall)), &charge);
            let left = denied.retry_after().saturating_sub(Duration::from_millis(elapsed));
            prop_assert!(recalled.map_or(Duration::ZERO, |decision| decision.retry_after()) <= left);
        }
    }
}

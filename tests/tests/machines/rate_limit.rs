//! The rate limiter.

use std::{cell::Cell, time::Duration};

use proptest::{collection::vec, prelude::*};
use shared::{
    kv::Micros,
    resilience::rate_limit::{Charge, Identity, LUA, Mode, Policy},
};

use crate::comparison::{Comparison, Lua};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Pass(Micros),
    /// A request exactly after the last one's `retry_after`, or this much later.
    Return(Micros),
    /// A cost for each policy, if charged at all: a percentage of its burst, and its mode.
    Ask(Vec<Option<(u32, Mode)>>),
    /// The same again: the first answer was lost.
    AskAgain,
    Garbage(usize, Vec<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    let mode =
        prop_oneof![6 => Just(Mode::Enforced), 1 => Just(Mode::Shadow), 1 => Just(Mode::Refund)];
    let cost = prop_oneof![3 => Just(0u32), 3 => 0..=40u32, 1 => Just(100)];
    let cost = prop_oneof![1 => Just(None), 4 => (cost, mode).prop_map(Some)];
    let number = prop_oneof![
        1_799_999_000_000_000..1_800_001_000_000_000i64,
        Just(i64::from(i32::MAX)),
        (1i64 << 53) - 2..(1 << 53) + 3,
        any::<i64>(),
    ];
    let garbage = prop_oneof![
        3 => number.prop_map(|number| number.to_string().into_bytes()),
        1 => prop::sample::select(vec!["", "nan", "inf", "0x10", "1e3", " 7", "1.5", "-0", "007"]).prop_map(Vec::from),
        1 => vec(any::<u8>(), 0..20),
    ];
    let step = prop_oneof![
        Just(1i64),
        0..1_000i64,
        0..1_000_000i64,
        0..100_000_000i64,
        Just(86_400_000_000)
    ];
    prop_oneof![
        10 => vec(cost, NAMES.len()).prop_map(Event::Ask),
        1 => Just(Event::AskAgain),
        4 => step.clone().prop_map(Event::Pass),
        1 => step.prop_map(|step| Event::Pass(-step)),
        3 => prop::sample::select(vec![-1i64, 0, 1]).prop_map(Event::Return),
        1 => (0..NAMES.len(), garbage).prop_map(|(key, value)| Event::Garbage(key, value)),
    ]
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let interval = prop_oneof![1..10u64, 1..5_000u64, 1..3_000_000u64];
    let burst = prop_oneof![1..4u32, 1..200u32];
    let policy = |name: &'static str, (burst, interval)| {
        Policy::new(name, burst, 1, Duration::from_micros(interval)).unwrap()
    };
    vec((burst, interval), NAMES.len()).prop_map(move |numbers| {
        NAMES
            .into_iter()
            .zip(numbers)
            .map(|(name, numbers)| policy(name, numbers))
            .collect()
    })
}

fn charge(policies: &[Policy], asked: &[Option<(u32, Mode)>]) -> Charge {
    let costs = policies.iter().zip(asked).filter_map(|(policy, asked)| {
        let (percent, mode) = (*asked)?;
        let cost = (policy.burst() * percent / 100).max(1);
        Some(policy.cost(cost).unwrap().with_mode(mode))
    });
    Charge::new(Identity::Address([203, 0, 113, 7].into()), costs.collect())
}

#[derive(Default)]
struct Seen {
    admitted: Cell<u32>,
    denied: Cell<u32>,
    shadowed: Cell<u32>,
}

fn play(comparison: &mut Comparison, policies: &[Policy], events: Vec<Event>, seen: &Seen) {
    let mut last = charge(policies, &[]);
    let mut retry_after = 0;
    for event in events {
        match event {
            Event::Pass(time) => comparison.pass(time),
            Event::Return(later) => comparison.pass(retry_after + later),
            Event::Garbage(at, value) => {
                comparison.put(&format!("{{ip:203.0.113.7}}:rl:{}", NAMES[at]), value);
            }
            Event::Ask(_) | Event::AskAgain => {
                if let Event::Ask(asked) = event {
                    last = charge(policies, &asked);
                }
                let decision = last.decision(&comparison.step(&last)).unwrap();
                retry_after = i64::try_from(decision.retry_after().as_micros()).unwrap();
                let outcome = if decision.is_admitted() {
                    &seen.admitted
                } else {
                    &seen.denied
                };
                outcome.update(|count| count + 1);
                seen.shadowed
                    .update(|count| count + u32::from(decision.shadow_denials().next().is_some()));
            }
        }
    }
}

#[test]
fn the_rate_limiter_agrees_in_rust_and_lua() {
    let lua = Lua::load(LUA);
    let seen = Seen::default();
    let histories = (policies(), vec(event(), 1..80));
    lua.compare(&histories, |comparison, (policies, events)| {
        play(comparison, &policies, events, &seen);
    });
    for count in [seen.admitted, seen.denied, seen.shadowed] {
        assert!(count.get() > 300, "the histories cover every outcome");
    }
}

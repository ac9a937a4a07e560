//! The CPU cost of one step of the rate limiter and of the breaker, beyond the round trip: building
//! it, as every request does, and applying it, where the state is in memory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "made by macros; a bench fails by panicking"
)]

use std::{hint::black_box, net::Ipv4Addr, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use shared::{
    clock::Clock,
    config::{BreakerSettings, Env, LimitSettings},
    kv::{Kv, MemoryStore, Step, Write},
    random::Random,
    resilience::{
        Limiter, Limits,
        breaker::{Breaker, InstanceId, Outcomes},
        guard::{CallOutcome, Guard, GuardParts},
        rate_limit::{Charge, Identity, Policy},
    },
};

const NOW: i64 = 1_800_000_000_000_000;

fn rate_limiter(criterion: &mut Criterion) {
    let address = Identity::Address(Ipv4Addr::LOCALHOST.into());
    let costs =
        ["user", "route"].map(|name| Policy::new(name, 40, 120, Duration::from_mins(1)).unwrap());
    let costs = costs.map(|policy| policy.cost(1).unwrap());
    let charge = Charge::new(address, costs.into());
    let stored = [NOW + 1_000_000, NOW + 2_000_000].map(|full_at| Some(full_at.to_string().into()));
    let reply = charge.apply(NOW, &stored).reply;
    criterion.bench_function("Charge::apply, two policies", |bench| {
        bench.iter(|| charge.apply(NOW, black_box(&stored)));
    });
    criterion.bench_function(
        "charge built and its decision read, two policies",
        |bench| {
            bench.iter(|| {
                let charge = Charge::new(address, black_box(costs).into());
                (charge.arguments(), charge.decision(black_box(&reply)))
            });
        },
    );
}

fn breaker(criterion: &mut Criterion) {
    let random = Random::System;
    let settings = BreakerSettings::default();
    let breaker = Breaker::new("wechat", &settings, InstanceId::draw(&random), random).unwrap();
    let outcomes = Outcomes {
        good: 3,
        failed: 1,
        ..Outcomes::default()
    };
    let [Write::Put(stored, _)] = &breaker.report(outcomes, None).apply(NOW, &[None]).writes[..]
    else {
        panic!()
    };
    let stored = [Some(stored.clone())];
    let (idle, reporting) = (
        breaker.check(Outcomes::default()),
        breaker.check(Outcomes {
            good: 1,
            ..Outcomes::default()
        }),
    );
    criterion.bench_function("breaker check built", |bench| {
        bench.iter(|| breaker.check(black_box(outcomes)).arguments());
    });
    criterion.bench_function("breaker check applied, nothing to report", |bench| {
        bench.iter(|| idle.apply(NOW, black_box(&stored)));
    });
    criterion.bench_function("breaker check applied, one good call", |bench| {
        bench.iter(|| reporting.apply(NOW, black_box(&stored)));
    });
}

/// All that a login's admission adds to its round trip: looking up recent denials, building both
/// steps, reading both replies, writing headers and metrics, granting and returning the permit.
fn admission(criterion: &mut Criterion) {
    let env = Env::new::<String, String>([]);
    let (clock, random) = (Clock::System, Random::System);
    let limits = Limits::new(&LimitSettings::read(&env), &env);
    let limiter = Limiter::new(None, clock.clone());
    let memory = Kv::Memory(MemoryStore::new(clock.clone()));
    let guard = Guard::new(
        "wechat",
        &BreakerSettings::default(),
        GuardParts {
            shared: Some(memory),
            clock,
            random,
        },
    )
    .unwrap();
    let address = Identity::Address(Ipv4Addr::LOCALHOST.into());
    let reply = Charge::new(address, limits.user.into_iter().collect())
        .apply(NOW, &[None])
        .reply;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    criterion.bench_function("limiter and breaker in one request", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let ticket = limiter.ticket(black_box(address), limits.user).unwrap();
                let check = guard.check().unwrap();
                let arguments = (ticket.step().unwrap().arguments(), check.arguments());
                ticket.apply(Some(black_box(reply.clone()))).unwrap();
                guard
                    .record_reply(Some(check), Some(&[0, 0, 0, 0]))
                    .unwrap();
                guard.acquire().await.unwrap().end(CallOutcome::Good).await;
                arguments
            })
        });
    });
}

criterion_group!(benches, rate_limiter, breaker, admission);
criterion_main!(benches);

//! The rate limiter among many processes whose clocks disagree, by the server's own time.

use std::{env, process::Command, time::Duration};

use e2e::{
    process::{Process, Spawn},
    redis_server::RedisServer,
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use redis::aio::MultiplexedConnection;
use shared::{
    clock::{Clock, ManualClock},
    kv::{Delivery, Kv, Micros, RedisStore, Step},
    resilience::rate_limit::{Charge, Denials, Identity, Policy},
};

const PROCESSES: i64 = 20;
const CLIENTS: usize = 50;
/// Requests of each client.
const REQUESTS: usize = 50;
const BURST: u32 = 100;
/// The bucket that denies refills one unit every 50 ms; the other one does not fill up within the
/// test.
const NARROW: Micros = 50_000;
const WIDE: Micros = 1_000_000;

fn charge() -> Charge {
    let policy = |name, burst, interval: Micros| {
        Policy::new(
            name,
            burst,
            1,
            Duration::from_micros(interval.unsigned_abs()),
        )
        .unwrap()
    };
    let costs = [
        policy("narrow", BURST, NARROW),
        policy("wide", 100_000, WIDE),
    ]
    .map(|policy| policy.cost(1).unwrap());
    Charge::new(Identity::Address([203, 0, 113, 7].into()), costs.into())
}

/// A store that waits for every answer, because a lost one would leave the admission unknown.
fn store(url: &str) -> Kv {
    Kv::Redis(RedisStore::with_budget(&url.into(), Duration::from_mins(1)))
}

async fn is_admitted(kv: &Kv, charge: &Charge, denials: &Denials) -> bool {
    if denials.recall(charge).is_some() {
        return false;
    }
    let decision = charge
        .decision(&kv.step(charge, Delivery::BestEffort).await.unwrap())
        .unwrap();
    denials.remember(charge, &decision);
    decision.is_admitted()
}

/// One process of the fleet: does nothing unless the test below has started it.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "these are not settings: the test passes them to its own child process"
)]
async fn one_process() {
    let (Ok(url), Ok(shift)) = (env::var("FLEET_REDIS"), env::var("FLEET_CLOCK_SHIFT")) else {
        return;
    };
    let now = Timestamp::now() + SignedDuration::from_secs(shift.parse().unwrap());
    let (kv, charge) = (store(&url), charge());
    let clients = (0..CLIENTS).map(async |client| {
        // Half of them ask the store each time; the others trust a cached denial.
        let mut denials = Denials::new(Clock::Manual(ManualClock::new(now)));
        let mut admitted = 0;
        for _ in 0..REQUESTS {
            admitted += i64::from(is_admitted(&kv, &charge, &denials).await);
            if client % 2 == 0 {
                denials = Denials::new(Clock::Manual(ManualClock::new(now)));
            }
        }
        admitted
    });
    println!(
        "admitted {}",
        join_all(clients).await.into_iter().sum::<i64>()
    );
}

fn process(server: &RedisServer, number: i64) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "fleet::one_process", "--nocapture"]);
    // From a minute behind to a minute ahead.
    let shift = 120 * number / (PROCESSES - 1) - 60;
    command
        .env("FLEET_REDIS", server.url())
        .env("FLEET_CLOCK_SHIFT", shift.to_string());
    Spawn::new(command).spawn()
}

async fn time(connection: &mut MultiplexedConnection) -> Micros {
    let (seconds, micros): (Micros, Micros) =
        redis::cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1_000_000 + micros
}

/// The moment at which a bucket is full again.
async fn full_at(connection: &mut MultiplexedConnection, key: &str) -> Micros {
    redis::cmd("GET")
        .arg(key)
        .query_async(connection)
        .await
        .unwrap()
}

/// Takes what is left now. Returns the number admitted, and the moments before and after the next
/// one was denied.
async fn drain(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
) -> (i64, Micros, Micros) {
    let (kv, charge) = (store(&server.url()), charge());
    let mut admitted = 0;
    loop {
        let before = time(connection).await;
        if !is_admitted(&kv, &charge, &Denials::new(Clock::System)).await {
            return (admitted, before, time(connection).await);
        }
        admitted += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_admits_exactly_the_burst_and_the_refill() {
    let server = RedisServer::start().await;
    let mut connection = server.connection().await;
    let begin = time(&mut connection).await;
    let processes: Vec<_> = (0..PROCESSES)
        .map(|number| process(&server, number))
        .collect();
    let lines = join_all(
        processes
            .iter()
            .map(|process| process.wait_for_line("admitted ")),
    )
    .await;
    let counts = lines
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap());
    let fleet: i64 = counts.sum();
    let (rest, before, after) = drain(&server, &mut connection).await;
    let admitted = fleet + rest;

    // No denial was charged: each bucket paid for exactly the admissions, starting at the same
    // moment.
    let charge = charge();
    let [narrow, wide] = charge.keys() else {
        panic!()
    };
    let first = full_at(&mut connection, narrow).await - admitted * NARROW;
    assert_eq!(
        first,
        full_at(&mut connection, wide).await - admitted * WIDE
    );
    assert!((begin..=after).contains(&first), "{begin} {first} {after}");

    // Not one too many, and not one too few.
    let allowed = |now: Micros| i64::from(BURST) + (now - first) / NARROW;
    assert!(
        (allowed(before)..=allowed(after)).contains(&admitted),
        "{admitted} of {}..{}",
        allowed(before),
        allowed(after)
    );
    let asked = PROCESSES * i64::try_from(CLIENTS * REQUESTS).unwrap();
    println!(
        "{fleet} of {asked} admitted in {} ms, {rest} afterwards",
        (before - first) / 1000
    );
    assert!(
        admitted > i64::from(BURST) && fleet < asked / 10,
        "most are denied, and time has passed"
    );
}

//! How long requests wait when Redis fails, and when it is used again.
//!
//! Waits come from the log (`redis_ms`), not from a wall clock, because a slow test machine adds to
//! the latter. Each case prints a line of the table in docs/resilience.md.

use std::time::{Duration, Instant};

use e2e::{
    redis_server::RedisServer,
    test_app::{SharedState, TestApp, capture},
    wire_proxy::{Fault, WireProxy},
};
use tokio::time::sleep;

use crate::load::{Sample, TURN, lasting, percentile, under_load};

/// How long a request may wait for Redis.
const BUDGET_MS: f64 = 50.0;
/// By then the first requests have reported the fault: their budget, plus the delay of a slow test
/// machine.
const FIRST: Duration = Duration::from_millis(400);
/// How soon a recovered Redis must be used again.
const RECOVERY: Duration = Duration::from_secs(2);

/// What a fault may cost.
#[derive(PartialEq)]
enum Cost {
    /// Requests go on without Redis: the first ones wait up to their budget, the others not at all.
    Degraded,
    /// Requests notice at most a lost connection.
    Nothing,
}

struct AppWithSpareRedis {
    app: TestApp,
    /// A second server to replicate from.
    spare: RedisServer,
}

impl AppWithSpareRedis {
    fn wire(&self) -> &WireProxy {
        self.app.proxies().redis.as_ref().unwrap()
    }
}

/// Breaks Redis under load and mends it again.
async fn endures(
    name: &str,
    cost: Cost,
    break_it: impl AsyncFn(&mut AppWithSpareRedis),
    heal: impl AsyncFn(&mut AppWithSpareRedis),
) {
    let _turn = TURN.lock().await;
    capture();
    let builder = TestApp::builder(SharedState::Redis)
        .own_redis()
        .proxied()
        .set("REDIS_TIMEOUT_MS", "50");
    // One user sends more requests than a person would. The limit stays on, because its script
    // writes.
    let app = builder
        .set("RATE_LIMIT_USER", "1000/s burst 100000")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    let mut fixture = AppWithSpareRedis {
        app,
        spare: RedisServer::start().await,
    };
    let (mut broken, mut healed) = (Instant::now(), Instant::now());
    let api = fixture.app.api.clone();
    let samples = under_load(&api, &tokens, async {
        sleep(Duration::from_millis(300)).await;
        broken = Instant::now();
        break_it(&mut fixture).await;
        sleep(lasting(Duration::from_millis(1500))).await;
        heal(&mut fixture).await;
        healed = Instant::now();
        sleep(RECOVERY + Duration::from_millis(500)).await;
    })
    .await;
    assert_cost(name, &cost, &samples, broken, healed);
}

fn assert_cost(name: &str, cost: &Cost, samples: &[Sample], broken: Instant, healed: Instant) {
    let between = |from: Instant, to: Instant| -> Vec<Sample> {
        samples
            .iter()
            .filter(|sample| sample.started >= from && sample.started < to)
            .cloned()
            .collect()
    };
    let end = samples.last().unwrap().started;
    let later = between(broken + FIRST, healed);
    // Includes requests that were in flight when it happened.
    let first = |sample: &&Sample| sample.ended >= broken && sample.started < broken + FIRST;
    let first: Vec<_> = samples.iter().filter(first).cloned().collect();
    let after = between(healed, end);
    let back = after
        .iter()
        .find(|sample| !sample.degraded)
        .unwrap_or_else(|| panic!("{name}: Redis is not used again"));
    let recovery = back.started - healed;
    let failed = samples.iter().filter(|sample| sample.status != 200).count();
    println!(
        "\n| {name} | {} | {failed} | {:.1} | {:.3} | {:.3} | {} |",
        samples.len(),
        percentile(&first, 100),
        percentile(&later, 50),
        percentile(&later, 99),
        recovery.as_millis(),
    );
    assert_eq!(failed, 0, "{name}: requests failed");
    let longest = percentile(samples, 100);
    assert!(
        longest <= BUDGET_MS,
        "{name}: a request waited {longest} ms, longer than the budget"
    );
    assert!(
        later.len() > 20 && end > healed + RECOVERY,
        "{name}: too little load"
    );
    if *cost == Cost::Degraded {
        assert!(
            later.iter().all(|sample| sample.degraded),
            "{name}: the fault had no effect"
        );
        assert!(
            percentile(&later, 95) <= 1.0,
            "{name}: later requests waited"
        );
    }
    assert!(
        recovery <= RECOVERY,
        "{name}: Redis was used again only after {recovery:?}"
    );
    // On a slow test machine a PING occasionally takes longer than 50 ms.
    let settled = between(healed + RECOVERY, end);
    let healthy = settled.iter().filter(|sample| !sample.degraded).count();
    assert!(
        healthy * 10 >= settled.len() * 8,
        "{name}: {healthy} of {} requests use Redis",
        settled.len()
    );
}

async fn set(fixture: &mut AppWithSpareRedis, fault: Fault) {
    fixture.wire().set(fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_killed_server() {
    let kill = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().kill();
    let restart = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().restart().await;
    endures("SIGKILL", Cost::Degraded, kill, restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_frozen_server() {
    let pause = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().pause();
    let resume = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().resume();
    endures("SIGSTOP", Cost::Degraded, pause, resume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_slow_server() {
    let slow = async |fixture: &mut AppWithSpareRedis| {
        set(fixture, Fault::Latency(Duration::from_millis(500))).await;
    };
    let heal = async |fixture: &mut AppWithSpareRedis| set(fixture, Fault::None).await;
    endures("500 ms latency", Cost::Degraded, slow, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_silent_server() {
    let swallow = async |fixture: &mut AppWithSpareRedis| set(fixture, Fault::BlackHole).await;
    let heal = async |fixture: &mut AppWithSpareRedis| {
        // The swallowed bytes are lost, so these connections stay out of sync.
        set(fixture, Fault::None).await;
    };
    endures("black hole", Cost::Degraded, swallow, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_lost_answers() {
    let lose = async |fixture: &mut AppWithSpareRedis| set(fixture, Fault::LoseReplies).await;
    let heal = async |fixture: &mut AppWithSpareRedis| set(fixture, Fault::None).await;
    endures("answers lost", Cost::Degraded, lose, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_refused_connections() {
    let refuse = async |fixture: &mut AppWithSpareRedis| {
        set(fixture, Fault::Refuse).await;
        fixture.wire().reset();
    };
    let heal = async |fixture: &mut AppWithSpareRedis| set(fixture, Fault::None).await;
    endures("connections refused", Cost::Degraded, refuse, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_read_only_replica() {
    let follow = async |fixture: &mut AppWithSpareRedis| {
        // What is cached could still be read.
        let mut pipeline = redis::pipe();
        pipeline
            .atomic()
            .cmd("FLUSHALL")
            .cmd("REPLICAOF")
            .arg("127.0.0.1")
            .arg(fixture.spare.port());
        pipeline
            .exec_async(&mut fixture.app.redis().connection().await)
            .await
            .unwrap();
    };
    let lead = async |fixture: &mut AppWithSpareRedis| {
        fixture
            .app
            .redis()
            .command(&["REPLICAOF", "NO", "ONE"])
            .await;
    };
    endures("READONLY (a replica)", Cost::Degraded, follow, lead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_connection_reset() {
    let reset = async |fixture: &mut AppWithSpareRedis| fixture.wire().reset();
    endures("connection reset", Cost::Nothing, reset, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_restart() {
    let restart = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().restart().await;
    endures("restart", Cost::Nothing, restart, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_flush() {
    let flush = async |fixture: &mut AppWithSpareRedis| fixture.app.redis().flushall().await;
    endures("FLUSHALL", Cost::Nothing, flush, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_script_flush() {
    let flush = async |fixture: &mut AppWithSpareRedis| {
        let redis = fixture.app.redis();
        redis.command(&["SCRIPT", "FLUSH"]).await;
        redis.flushall().await;
    };
    endures("SCRIPT FLUSH", Cost::Nothing, flush, async |_| {}).await;
}

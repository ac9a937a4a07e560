//! What requests pay for a Redis that fails, and when it is used again.
//!
//! Waits are those of the log (`redis_ms`), not of the clock on the wall: what a busy machine adds
//! is not Redis'. Each case prints a line of the table in docs/resilience.md.

use std::time::{Duration, Instant};

use e2e::{
    redis_server::RedisServer,
    wire_proxy::{Fault, WireProxy},
    world::{SharedState, World, capture},
};
use tokio::{sync::Mutex, time::sleep};

use crate::load::{Sample, lasting, percentile, under_load};

/// What a request may wait for Redis.
const BUDGET_MS: f64 = 50.0;
/// When the first requests have surely told the instance: their budget, and what a busy machine
/// adds.
const FIRST: Duration = Duration::from_millis(400);
/// How soon a Redis that is well again has to be used again.
const RECOVERY: Duration = Duration::from_secs(2);

/// One at a time: they compete for the cores, and print a table.
static TURN: Mutex<()> = Mutex::const_new(());

/// What a fault may cost.
#[derive(PartialEq)]
enum Cost {
    /// Requests go on without Redis: the first ones wait up to their budget, the others not at all.
    Degraded,
    /// Nobody notices more than a lost connection.
    Nothing,
}

struct Stage {
    world: World,
    /// For a server to follow.
    other: RedisServer,
}

impl Stage {
    fn wire(&self) -> &WireProxy {
        self.world.proxies().redis.as_ref().unwrap()
    }
}

/// Breaks Redis under load and mends it again.
async fn endures(
    name: &str,
    cost: Cost,
    break_it: impl AsyncFn(&mut Stage),
    mend: impl AsyncFn(&mut Stage),
) {
    let _turn = TURN.lock().await;
    capture();
    let plan = World::with(SharedState::Redis)
        .own_redis()
        .proxied()
        .set("REDIS_TIMEOUT_MS", "50");
    // One user asks more often than a person would; but the limit is asked for, in a script that
    // writes.
    let world = plan
        .set("RATE_LIMIT_USER", "1000/s burst 100000")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    world.api.info(&tokens.access).await.ok(200);
    let mut stage = Stage {
        world,
        other: RedisServer::start().await,
    };
    let (mut broken, mut mended) = (Instant::now(), Instant::now());
    let api = stage.world.api.clone();
    let samples = under_load(&api, &tokens, async {
        sleep(Duration::from_millis(300)).await;
        broken = Instant::now();
        break_it(&mut stage).await;
        sleep(lasting(Duration::from_millis(1500))).await;
        mend(&mut stage).await;
        mended = Instant::now();
        sleep(RECOVERY + Duration::from_millis(500)).await;
    })
    .await;
    judge(name, &cost, &samples, broken, mended);
}

fn judge(name: &str, cost: &Cost, samples: &[Sample], broken: Instant, mended: Instant) {
    let between = |from: Instant, to: Instant| -> Vec<Sample> {
        samples
            .iter()
            .filter(|sample| sample.started >= from && sample.started < to)
            .cloned()
            .collect()
    };
    let end = samples.last().unwrap().started;
    let later = between(broken + FIRST, mended);
    // Those, too, that were under way when it happened.
    let first = |sample: &&Sample| sample.ended >= broken && sample.started < broken + FIRST;
    let first: Vec<_> = samples.iter().filter(first).cloned().collect();
    let after = between(mended, end);
    let back = after
        .iter()
        .find(|sample| !sample.degraded)
        .unwrap_or_else(|| panic!("{name}: used again"));
    let recovery = back.started - mended;
    let failed = samples.iter().filter(|sample| sample.status != 200).count();
    println!(
        "\n| {name} | {} | {failed} | {:.1} | {:.3} | {:.3} | {} |",
        samples.len(),
        percentile(&first, 100),
        percentile(&later, 50),
        percentile(&later, 99),
        recovery.as_millis(),
    );
    assert_eq!(failed, 0, "{name}: no request fails because of Redis");
    assert!(
        percentile(samples, 100) <= BUDGET_MS,
        "{name}: nobody waits longer than the budget"
    );
    assert!(
        later.len() > 20 && end > mended + RECOVERY,
        "{name}: there was load all the time"
    );
    if *cost == Cost::Degraded {
        assert!(
            later.iter().all(|sample| sample.degraded),
            "{name}: the fault was one"
        );
        assert!(
            percentile(&later, 95) <= 1.0,
            "{name}: later requests do not wait"
        );
    }
    assert!(
        recovery <= RECOVERY,
        "{name}: used again after {recovery:?}"
    );
    // A busy machine makes a PING take longer than 50 ms now and then.
    let settled = between(mended + RECOVERY, end);
    let well = settled.iter().filter(|sample| !sample.degraded).count();
    assert!(
        well * 10 >= settled.len() * 8,
        "{name}: {well} of {} requests use Redis",
        settled.len()
    );
}

async fn set(stage: &mut Stage, fault: Fault) {
    stage.wire().set(fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let kill = async |stage: &mut Stage| stage.world.redis().kill();
    let restart = async |stage: &mut Stage| stage.world.redis().restart().await;
    endures("SIGKILL", Cost::Degraded, kill, restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen() {
    let pause = async |stage: &mut Stage| stage.world.redis().pause();
    let resume = async |stage: &mut Stage| stage.world.redis().resume();
    endures("SIGSTOP", Cost::Degraded, pause, resume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow() {
    let slow =
        async |stage: &mut Stage| set(stage, Fault::Latency(Duration::from_millis(500))).await;
    let heal = async |stage: &mut Stage| set(stage, Fault::None).await;
    endures("500 ms latency", Cost::Degraded, slow, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent() {
    let swallow = async |stage: &mut Stage| set(stage, Fault::BlackHole).await;
    let heal = async |stage: &mut Stage| {
        // What was swallowed is lost: these connections never get back into step.
        set(stage, Fault::None).await;
    };
    endures("black hole", Cost::Degraded, swallow, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_lost() {
    let lose = async |stage: &mut Stage| set(stage, Fault::LoseReplies).await;
    let heal = async |stage: &mut Stage| set(stage, Fault::None).await;
    endures("answers lost", Cost::Degraded, lose, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused() {
    let refuse = async |stage: &mut Stage| {
        set(stage, Fault::Refuse).await;
        stage.wire().reset();
    };
    let heal = async |stage: &mut Stage| set(stage, Fault::None).await;
    endures("connections refused", Cost::Degraded, refuse, heal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica() {
    let follow = async |stage: &mut Stage| {
        // What is cached could still be read.
        let mut pipeline = redis::pipe();
        pipeline
            .atomic()
            .cmd("FLUSHALL")
            .cmd("REPLICAOF")
            .arg("127.0.0.1")
            .arg(stage.other.port());
        pipeline
            .exec_async(&mut stage.world.redis().connection().await)
            .await
            .unwrap();
    };
    let lead = async |stage: &mut Stage| {
        drop(
            stage
                .world
                .redis()
                .command(&["REPLICAOF", "NO", "ONE"])
                .await,
        )
    };
    endures("READONLY (a replica)", Cost::Degraded, follow, lead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset() {
    let reset = async |stage: &mut Stage| stage.wire().reset();
    endures("connection reset", Cost::Nothing, reset, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted() {
    let restart = async |stage: &mut Stage| stage.world.redis().restart().await;
    endures("restart", Cost::Nothing, restart, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed() {
    let flush = async |stage: &mut Stage| stage.world.redis().flushall().await;
    endures("FLUSHALL", Cost::Nothing, flush, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_flushed() {
    let flush = async |stage: &mut Stage| {
        let redis = stage.world.redis();
        redis.command(&["SCRIPT", "FLUSH"]).await;
        redis.flushall().await;
    };
    endures("SCRIPT FLUSH", Cost::Nothing, flush, async |_| {}).await;
}

//! A fleet of instances in front of a WeChat that fails, and the circuit breaker that they share.

use std::time::Duration;

use e2e::{
    wire_proxy,
    world::{Api, SharedState, World, capture},
};
use futures_util::future::join_all;
use shared::config::Env;
use tokio::time::{Instant, sleep};
use wechat_simulator::{Fault, Garbage};

const FLEET: usize = 20;
/// The configured total of failures: `BREAKER_MIN_CALLS`.
const ENOUGH: usize = 20;

/// A Redis of their own, a short open time, and instances that have just started.
async fn fleet(changes: &[(&str, &str)]) -> (World, Vec<Api>) {
    let mut plan = World::with(SharedState::Redis).own_redis().proxied();
    let base = [
        ("BREAKER_OPEN_MS", "1000"),
        ("BREAKER_PROBE_MS", "1500"),
        ("WECHAT_TIMEOUT_MS", "1000"),
    ];
    for (name, value) in base.iter().chain(changes) {
        plan = plan.set(name, value);
    }
    let world = plan.start().await;
    let mut instances = vec![world.api.clone()];
    for _ in 1..FLEET {
        instances.push(world.another_instance().await);
    }
    (world, instances)
}

/// One login after the other, each at the next instance, until the breaker refuses. How many
/// reached WeChat.
async fn until_it_opens(world: &World, instances: &[Api]) -> usize {
    let before = world.code_calls();
    for (number, api) in instances.iter().cycle().enumerate() {
        assert!(number < 3 * ENOUGH, "it does not open");
        let answer = api.login(&world.code(&format!("person-{number}"))).await;
        if answer.reason() == Some("unavailable") && world.code_calls() - before == number as u64 {
            return number;
        }
    }
    unreachable!()
}

/// All instances refuse, soon, and nobody calls WeChat.
async fn all_refuse(world: &World, instances: &[Api]) {
    let before = world.code_calls();
    for (number, api) in instances.iter().enumerate() {
        let answer = api.login(&world.code(&format!("refused-{number}"))).await;
        answer.fails(503, "unavailable");
        assert!(
            answer
                .header("retry-after")
                .is_some_and(|wait| (1..=2).contains(&wait.parse().unwrap())),
            "{answer:?}"
        );
    }
    assert_eq!(world.code_calls(), before);
}

/// Waits for Redis' clock, and lets those of the instances come along.
async fn pass(world: &World, milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
    world
        .clock
        .advance_seconds(i64::try_from(milliseconds.div_ceil(1000)).unwrap());
}

async fn recovers(world: &World, instances: &[Api]) {
    world.wechat.clear_faults();
    // Jitter makes an open time up to a fifth longer.
    pass(world, 1300).await;
    for (number, api) in instances.iter().enumerate() {
        api.login(&world.code(&format!("again-{number}")))
            .await
            .ok(200);
    }
}

async fn a_fleet_stops_and_recovers(fault: Fault) {
    let (world, instances) = fleet(&[]).await;
    world.wechat_fails(fault);
    assert_eq!(
        until_it_opens(&world, &instances).await,
        ENOUGH,
        "together, not each for itself"
    );
    all_refuse(&world, &instances).await;
    recovers(&world, &instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_stops_together_when_wechat_fails() {
    a_fleet_stops_and_recovers(Fault {
        status: Some(500),
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_stops_together_when_wechat_is_busy() {
    a_fleet_stops_and_recovers(Fault {
        errcode: Some(-1),
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_stops_together_when_answers_are_cut() {
    a_fleet_stops_and_recovers(Fault {
        garbage: Garbage::Truncated,
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_stops_together_when_wechat_is_slow() {
    let (world, instances) = fleet(&[("BREAKER_SLOW_MS", "50")]).await;
    world.wechat_fails(Fault {
        latency_ms: Some(80),
        ..Fault::default()
    });
    assert_eq!(
        until_it_opens(&world, &instances).await,
        ENOUGH,
        "slow answers are answers, and still too much"
    );
    all_refuse(&world, &instances).await;
    recovers(&world, &instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_the_client_stop_nobody() {
    let (world, instances) = fleet(&[]).await;
    for errcode in [40029, 40163, 40226, 45011] {
        world.wechat_fails(Fault {
            errcode: Some(errcode),
            ..Fault::default()
        });
        for (number, api) in instances.iter().enumerate() {
            assert_ne!(
                api.login(&world.code(&format!("{errcode}-{number}")))
                    .await
                    .reason(),
                Some("unavailable")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_answers_at_once() {
    let (world, instances) = fleet(&[("BREAKER_OPEN_MS", "30000")]).await;
    world.wechat_fails(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&world, &instances).await;
    let mut times = Vec::new();
    for (number, api) in instances.iter().enumerate() {
        let code = world.code(&format!("timed-{number}"));
        let start = Instant::now();
        api.login(&code).await.fails(503, "unavailable");
        times.push(start.elapsed());
    }
    times.sort();
    // The median: a busy machine delays some.
    assert!(times[FLEET / 2] < Duration::from_millis(5), "{times:?}");
    println!(
        "an open breaker answers in {:?} (median), {:?} at the most",
        times[FLEET / 2],
        times[FLEET - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_probe_at_a_time_in_the_whole_fleet() {
    let (world, instances) = fleet(&[("BREAKER_SLOW_MS", "2000")]).await;
    world.wechat_fails(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&world, &instances).await;
    world.wechat_fails(Fault {
        latency_ms: Some(300),
        ..Fault::default()
    });
    pass(&world, 1300).await;
    let before = world.code_calls();
    let codes: Vec<_> = (0..FLEET)
        .map(|number| world.code(&format!("probe-{number}")))
        .collect();
    let answers = join_all(
        instances
            .iter()
            .zip(&codes)
            .map(|(api, code)| api.login(code)),
    )
    .await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(
        (world.code_calls() - before, admitted),
        (1, 1),
        "{answers:?}"
    );
    // It was good, so the breaker is closed.
    world.wechat.clear_faults();
    world.clock.advance_seconds(1);
    instances[3].login(&world.code("after")).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_that_dies_delays_recovery_by_no_more_than_its_lease() {
    let (world, instances) = fleet(&[]).await;
    world.wechat_fails(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&world, &instances).await;
    world.wechat.clear_faults();
    pass(&world, 1300).await;
    // Somebody takes the probe, and is never heard of again.
    let mut redis = redis::Client::open(world.env().get("REDIS_URL").unwrap())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    take_the_probe(&world, &mut redis).await;
    instances[0]
        .login(&world.code("meanwhile"))
        .await
        .fails(503, "unavailable");
    pass(&world, 1600).await;
    instances[0].login(&world.code("afterwards")).await.ok(200);
}

/// What an instance does just before it is killed.
async fn take_the_probe(world: &World, redis: &mut redis::aio::MultiplexedConnection) {
    use shared::{
        config::BreakerSettings,
        kv::Step,
        random::Random,
        resilience::breaker::{
            Breaker, BreakerReply, BreakerStatus, InstanceId, LUA, Outcomes, Probe, ProbeToken,
        },
    };
    let (settings, random) = (BreakerSettings::read(&world.env()), Random::System);
    let breaker = Breaker::new(
        "wechat",
        &settings,
        InstanceId::draw(&random),
        random.clone(),
    )
    .unwrap();
    let step = breaker.acquire(ProbeToken::draw(&random), Outcomes::default());
    let now = "local clock = redis.call('TIME')\nlocal now = clock[1] * 1000000 + clock[2]\n";
    let script = redis::Script::new(&format!("{now}{LUA}"));
    let mut call = script.prepare_invoke();
    call.key(step.keys()).arg(step.arguments());
    let reply: Vec<i64> = call.invoke_async(redis).await.unwrap();
    let reply = BreakerReply::read(&reply).unwrap();
    assert!(
        matches!(reply.status, BreakerStatus::HalfOpen(Probe::Yours(_))),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_with_a_broken_network_stops_only_itself() {
    capture();
    let (world, mut instances) = fleet(&[]).await;
    let sick = world
        .another_instance_with(&[("WECHAT_BASE_URL", "http://127.0.0.1:1")])
        .await;
    instances.pop();
    for number in 0..40 {
        sick.login(&world.code(&format!("sick-{number}")))
            .await
            .fails(503, "unavailable");
        instances[number % instances.len()]
            .login(&world.code(&format!("well-{number}")))
            .await
            .ok(200);
    }
    // By now it does not even try.
    let refused = sick.login(&world.code("sick")).await;
    refused.fails(503, "unavailable");
    assert_eq!(
        world.log_line(&refused)["cause"],
        "wechat: the circuit breaker is open"
    );
    for api in &instances {
        api.login(&world.code("well")).await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_instance_stops_by_itself_and_recovers() {
    let (world, instances) = fleet(&[]).await;
    let wire = world.proxies().redis.as_ref().unwrap();
    wire.set(wire_proxy::Fault::Refuse).await;
    wire.cut();
    world.wechat_fails(Fault {
        status: Some(500),
        ..Fault::default()
    });
    let calls = until_it_opens(&world, &instances[..1]).await;
    assert_eq!(
        calls,
        ENOUGH / 2,
        "an instance sees half of what a fleet does"
    );
    world.wechat.clear_faults();
    world.clock.advance_seconds(2);
    instances[0].login(&world.code("again")).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_breaker_and_can_hold_it() {
    let (world, instances) = fleet(&[]).await;
    let state = async || {
        let answer = world.api.request("GET", "/health?deep=1").send().await;
        answer.ok(200)["breakers"][0].clone()
    };
    let closed = state().await;
    assert_eq!(
        (&closed["name"], &closed["state"], &closed["forced"]),
        (&"wechat".into(), &"closed".into(), &false.into())
    );

    let command = async |arguments: &[&str]| {
        let answer = local::breaker(env(&world), arguments).await.unwrap();
        // The instances ask again.
        world.clock.advance_seconds(1);
        answer
    };
    assert_eq!(command(&["open", "5"]).await.state, "open");
    let open = state().await;
    assert_eq!(
        (&open["state"], &open["forced"]),
        (&"open".into(), &true.into())
    );
    instances[5]
        .login(&world.code("alice"))
        .await
        .fails(503, "unavailable");
    world.clock.advance_seconds(301);
    assert_eq!(command(&["close"]).await.state, "closed");
    world.wechat_fails(Fault {
        status: Some(500),
        ..Fault::default()
    });
    for number in 0..2 * ENOUGH {
        let answer = instances[number % FLEET]
            .login(&world.code(&format!("held-{number}")))
            .await;
        assert_ne!(answer.reason(), Some("unavailable"), "it is held closed");
    }
    world.wechat.clear_faults();
    let reset = command(&["reset"]).await;
    assert_eq!(
        (reset.state, reset.forced, reset.calls),
        ("closed", false, 0)
    );
    instances[7].login(&world.code("alice")).await.ok(200);
    local::breaker(env(&world), &["explode"]).await.unwrap_err();
}

fn env(world: &World) -> Env {
    Env::new([
        ("REDIS_URL", world.env().get("REDIS_URL").unwrap()),
        ("REDIS_TIMEOUT_MS", "5000"),
    ])
}

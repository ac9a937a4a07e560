//! A fleet of instances whose WeChat fails, and the circuit breaker that they share.

use std::time::Duration;

use e2e::{
    test_app::{Api, SharedState, TestApp, capture},
    wire_proxy,
};
use futures_util::future::join_all;
use shared::config::Env;
use tokio::time::{Instant, sleep};
use wechat_simulator::{Fault, Garbage};

const FLEET: usize = 20;
/// The failures after which the breaker opens: `BREAKER_MIN_CALLS`.
const ENOUGH: usize = 20;

/// Freshly started instances with a Redis of their own and a short open time.
async fn fleet(changes: &[(&str, &str)]) -> (TestApp, Vec<Api>) {
    let mut builder = TestApp::builder(SharedState::Redis).own_redis().proxied();
    let base = [
        ("BREAKER_OPEN_MS", "1000"),
        ("BREAKER_PROBE_MS", "1500"),
        ("WECHAT_TIMEOUT_MS", "1000"),
    ];
    for (name, value) in base.iter().chain(changes) {
        builder = builder.set(name, value);
    }
    let app = builder.start().await;
    let mut instances = vec![app.api.clone()];
    for _ in 1..FLEET {
        instances.push(app.another_instance().await);
    }
    (app, instances)
}

/// Sends logins to one instance after the other until the breaker refuses. Returns how many reached
/// WeChat.
async fn until_it_opens(app: &TestApp, instances: &[Api]) -> usize {
    let before = app.code2session_calls();
    for (number, api) in instances.iter().cycle().enumerate() {
        assert!(number < 3 * ENOUGH, "the breaker does not open");
        let answer = api.login(&app.code(&format!("person-{number}"))).await;
        if answer.reason() == Some("unavailable")
            && app.code2session_calls() - before == number as u64
        {
            return number;
        }
    }
    unreachable!()
}

/// Asserts that all instances refuse without calling WeChat.
async fn all_refuse(app: &TestApp, instances: &[Api]) {
    let before = app.code2session_calls();
    for (number, api) in instances.iter().enumerate() {
        let answer = api.login(&app.code(&format!("refused-{number}"))).await;
        answer.fails(503, "unavailable");
        assert!(
            answer
                .header("retry-after")
                .is_some_and(|wait| (1..=2).contains(&wait.parse().unwrap())),
            "{answer:?}"
        );
    }
    assert_eq!(app.code2session_calls(), before);
}

/// Lets time pass for Redis' clock and for the instances' clock.
async fn pass(app: &TestApp, milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
    app.clock
        .advance_seconds(i64::try_from(milliseconds.div_ceil(1000)).unwrap());
}

async fn recovers(app: &TestApp, instances: &[Api]) {
    app.wechat.clear_faults();
    // Jitter makes an open time up to a fifth longer.
    pass(app, 1300).await;
    for (number, api) in instances.iter().enumerate() {
        api.login(&app.code(&format!("again-{number}")))
            .await
            .ok(200);
    }
}

async fn a_fleet_stops_and_recovers(fault: Fault) {
    let (app, instances) = fleet(&[]).await;
    app.fail_code2session(fault);
    assert_eq!(
        until_it_opens(&app, &instances).await,
        ENOUGH,
        "the fleet shares one count"
    );
    all_refuse(&app, &instances).await;
    recovers(&app, &instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleets_breaker_opens_when_wechat_fails() {
    a_fleet_stops_and_recovers(Fault {
        status: Some(500),
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleets_breaker_opens_when_wechat_is_busy() {
    a_fleet_stops_and_recovers(Fault {
        errcode: Some(-1),
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleets_breaker_opens_when_answers_are_truncated() {
    a_fleet_stops_and_recovers(Fault {
        garbage: Garbage::Truncated,
        ..Fault::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleets_breaker_opens_when_wechat_is_slow() {
    let (app, instances) = fleet(&[("BREAKER_SLOW_MS", "50")]).await;
    app.fail_code2session(Fault {
        latency_ms: Some(80),
        ..Fault::default()
    });
    assert_eq!(
        until_it_opens(&app, &instances).await,
        ENOUGH,
        "slow answers count as failures"
    );
    all_refuse(&app, &instances).await;
    recovers(&app, &instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_errors_do_not_open_the_breaker() {
    let (app, instances) = fleet(&[]).await;
    for errcode in [40029, 40163, 40226, 45011] {
        app.fail_code2session(Fault {
            errcode: Some(errcode),
            ..Fault::default()
        });
        for (number, api) in instances.iter().enumerate() {
            assert_ne!(
                api.login(&app.code(&format!("{errcode}-{number}")))
                    .await
                    .reason(),
                Some("unavailable")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_answers_immediately() {
    let _turn = crate::load::TURN.lock().await;
    let (app, instances) = fleet(&[("BREAKER_OPEN_MS", "30000")]).await;
    app.fail_code2session(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&app, &instances).await;
    let mut times = Vec::new();
    for (number, api) in instances.iter().enumerate() {
        let code = app.code(&format!("timed-{number}"));
        let start = Instant::now();
        api.login(&code).await.fails(503, "unavailable");
        times.push(start.elapsed());
    }
    times.sort();
    // The median: a busy machine delays some.
    assert!(times[FLEET / 2] < Duration::from_millis(5), "{times:?}");
    println!(
        "an open breaker answers in {:?} (median), {:?} at most",
        times[FLEET / 2],
        times[FLEET - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_sends_one_probe_at_a_time() {
    let (app, instances) = fleet(&[("BREAKER_SLOW_MS", "2000")]).await;
    app.fail_code2session(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&app, &instances).await;
    app.fail_code2session(Fault {
        latency_ms: Some(300),
        ..Fault::default()
    });
    pass(&app, 1300).await;
    let before = app.code2session_calls();
    let codes: Vec<_> = (0..FLEET)
        .map(|number| app.code(&format!("probe-{number}")))
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
        (app.code2session_calls() - before, admitted),
        (1, 1),
        "{answers:?}"
    );
    // It was good, so the breaker is closed.
    app.wechat.clear_faults();
    app.clock.advance_seconds(1);
    instances[3].login(&app.code("after")).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_prober_delays_recovery_by_at_most_its_lease() {
    let (app, instances) = fleet(&[]).await;
    app.fail_code2session(Fault {
        status: Some(500),
        ..Fault::default()
    });
    until_it_opens(&app, &instances).await;
    app.wechat.clear_faults();
    pass(&app, 1300).await;
    // An instance takes the probe and dies.
    let mut redis = redis::Client::open(app.env().get("REDIS_URL").unwrap())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    take_the_probe(&app, &mut redis).await;
    instances[0]
        .login(&app.code("meanwhile"))
        .await
        .fails(503, "unavailable");
    pass(&app, 1600).await;
    instances[0].login(&app.code("afterwards")).await.ok(200);
}

/// What an instance does just before it is killed.
async fn take_the_probe(app: &TestApp, redis: &mut redis::aio::MultiplexedConnection) {
    use shared::{
        config::BreakerSettings,
        kv::Step,
        random::Random,
        resilience::breaker::{
            Breaker, BreakerReply, BreakerStatus, InstanceId, LUA, Outcomes, Probe, ProbeToken,
        },
    };
    let (settings, random) = (BreakerSettings::read(&app.env()), Random::System);
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
async fn an_instance_with_a_broken_network_trips_only_its_own_breaker() {
    capture();
    let (app, mut instances) = fleet(&[]).await;
    let isolated = app
        .another_instance_with(&[("WECHAT_BASE_URL", "http://127.0.0.1:1")])
        .await;
    instances.pop();
    for number in 0..40 {
        isolated
            .login(&app.code(&format!("isolated-{number}")))
            .await
            .fails(503, "unavailable");
        instances[number % instances.len()]
            .login(&app.code(&format!("healthy-{number}")))
            .await
            .ok(200);
    }
    // Its own breaker is open now.
    let refused = isolated.login(&app.code("isolated")).await;
    refused.fails(503, "unavailable");
    assert_eq!(
        app.log_line(&refused)["cause"],
        "wechat: the circuit breaker is open"
    );
    for api in &instances {
        api.login(&app.code("healthy")).await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_instances_breaker_opens_and_recovers() {
    let (app, instances) = fleet(&[]).await;
    let wire = app.proxies().redis.as_ref().unwrap();
    wire.set(wire_proxy::Fault::Refuse).await;
    wire.cut();
    app.fail_code2session(Fault {
        status: Some(500),
        ..Fault::default()
    });
    let calls = until_it_opens(&app, &instances[..1]).await;
    assert_eq!(
        calls,
        ENOUGH / 2,
        "an instance sees half of what a fleet does"
    );
    app.wechat.clear_faults();
    app.clock.advance_seconds(2);
    instances[0].login(&app.code("again")).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_can_inspect_and_force_the_breaker() {
    let (app, instances) = fleet(&[]).await;
    let state = async || {
        let answer = app.api.request("GET", "/health?deep=1").send().await;
        answer.ok(200)["breakers"][0].clone()
    };
    let closed = state().await;
    assert_eq!(
        (&closed["name"], &closed["state"], &closed["forced"]),
        (&"wechat".into(), &"closed".into(), &false.into())
    );

    let command = async |arguments: &[&str]| {
        let answer = local::breaker(env(&app), arguments).await.unwrap();
        // The instances refresh their view.
        app.clock.advance_seconds(1);
        answer
    };
    assert_eq!(command(&["open", "5"]).await.state, "open");
    let open = state().await;
    assert_eq!(
        (&open["state"], &open["forced"]),
        (&"open".into(), &true.into())
    );
    instances[5]
        .login(&app.code("alice"))
        .await
        .fails(503, "unavailable");
    app.clock.advance_seconds(301);
    assert_eq!(command(&["close"]).await.state, "closed");
    app.fail_code2session(Fault {
        status: Some(500),
        ..Fault::default()
    });
    for number in 0..2 * ENOUGH {
        let answer = instances[number % FLEET]
            .login(&app.code(&format!("held-{number}")))
            .await;
        assert_ne!(
            answer.reason(),
            Some("unavailable"),
            "the breaker is forced closed"
        );
    }
    app.wechat.clear_faults();
    let reset = command(&["reset"]).await;
    assert_eq!(
        (reset.state, reset.forced, reset.calls),
        ("closed", false, 0)
    );
    instances[7].login(&app.code("alice")).await.ok(200);
    local::breaker(env(&app), &["explode"]).await.unwrap_err();
}

/// "No calls for an hour" is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_forced_open_can_be_undone_at_warm_instances() {
    let (app, instances) = fleet(&[]).await;
    for undo in ["close", "reset"] {
        local::breaker(env(&app), &["open", "60"]).await.unwrap();
        for (number, api) in instances.iter().enumerate() {
            // An instance may still use the reply to its last check.
            app.clock.advance_seconds(1);
            let refused = api.login(&app.code(&format!("{undo}-{number}"))).await;
            refused.fails(503, "unavailable");
            let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((3000..=3600).contains(&wait), "{refused:?}");
        }
        local::breaker(env(&app), &[undo]).await.unwrap();
        app.clock.advance_seconds(1);
        for (number, api) in instances.iter().enumerate() {
            let code = app.code(&format!("{undo}-again-{number}"));
            api.login(&code).await.ok(200);
        }
    }
}

fn env(app: &TestApp) -> Env {
    Env::new([
        ("REDIS_URL", app.env().get("REDIS_URL").unwrap()),
        ("REDIS_TIMEOUT_MS", "5000"),
    ])
}

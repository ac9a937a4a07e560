//! WeChat's access token: fetched once for all instances, replaced once when it is stale, and never
//! in the way of login.

use std::time::{Duration, Instant};

use e2e::{
    http::Client,
    settings::{APP_ID, APPS, OTHER_APP_ID},
    wire_proxy,
    world::{SharedState, World},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    ids::{AppId, OpenId},
    instance::Instance,
    random::Random,
    wechat::{Advice, AuthorizedWeChat, Scene, WeChatError},
};
use wechat_simulator::Fault;

const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const CHECK: &str = "/wxa/msg_sec_check";
/// What a token lives, and how long before that WeChat has its successor.
const LIFE: i64 = 7200;
const RENEWAL: i64 = 300;

/// One instance more, with a memory of its own.
fn instance(world: &World) -> AuthorizedWeChat {
    Instance::new(
        world.env(),
        Clock::Manual(world.clock.clone()),
        Random::System,
    )
    .wechat_authorized()
}

fn instances(world: &World, count: usize) -> Vec<AuthorizedWeChat> {
    (0..count).map(|_| instance(world)).collect()
}

/// A call that carries an access token: Alice has just logged in.
async fn call(wechat: &AuthorizedWeChat, world: &World) -> Result<Advice, WeChatError> {
    let app_id: AppId = APP_ID.parse().unwrap();
    let open_id: OpenId = world
        .wechat
        .open_id("alice", Some(APP_ID))
        .unwrap()
        .parse()
        .unwrap();
    wechat
        .check_text(&app_id, &open_id, Scene::Profile, "小明")
        .await
}

async fn calls(wechats: &[AuthorizedWeChat], world: &World) -> Vec<Result<Advice, WeChatError>> {
    join_all(wechats.iter().map(|wechat| call(wechat, world))).await
}

async fn start(world: World) -> World {
    world.log_in("alice").await;
    world
}

async fn with_redis() -> World {
    start(World::with(SharedState::Redis).own_redis().start().await).await
}

/// What stands in Redis under this key.
async fn stored(world: &mut World, key: &str) -> Option<String> {
    let mut connection = world.redis().connection().await;
    redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn store(world: &mut World, key: &str, value: &str) {
    let mut connection = world.redis().connection().await;
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .exec_async(&mut connection)
        .await
        .unwrap();
}

fn token_key() -> String {
    format!("{{wx:{APP_ID}}}:access_token")
}

/// Another server of the same mini-program asks WeChat for a token.
async fn another_server(world: &World, force: bool) -> String {
    let body = json!({
        "grant_type": "client_credential", "appid": APP_ID, "secret": APPS[0].1, "force_refresh": force,
    });
    let wechat = Client::new(world.env().get("WECHAT_BASE_URL").unwrap());
    let (_, _, answer) = wechat.post(STABLE_TOKEN, &body).send_raw().await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_instances_that_start_together_fetch_once() {
    let world = with_redis().await;
    for outcome in calls(&instances(&world, 20), &world).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(
        (world.wechat.calls(STABLE_TOKEN), world.wechat.calls(CHECK)),
        (1, 20)
    );
    // One that starts later finds it.
    assert_eq!(call(&instance(&world), &world).await, Ok(Advice::Pass));
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mini_program_has_its_own() {
    let world = with_redis().await;
    let wechat = instance(&world);
    call(&wechat, &world).await.unwrap();
    let (app, open_id) = (
        OTHER_APP_ID,
        world.wechat.open_id("alice", Some(OTHER_APP_ID)).unwrap(),
    );
    world
        .api
        .login_in(app, &world.code_in(app, "alice"))
        .await
        .ok(200);
    let advice = wechat
        .check_text(
            &app.parse().unwrap(),
            &open_id.parse().unwrap(),
            Scene::Profile,
            "小明",
        )
        .await;
    assert_eq!(advice, Ok(Advice::Pass));
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_instance_keeps_its_own() {
    let world = start(World::with(SharedState::InProcess).deployed().start().await).await;
    let wechats = instances(&world, 3);
    for _ in 0..3 {
        for outcome in calls(&wechats, &world).await {
            assert_eq!(outcome, Ok(Advice::Pass));
        }
    }
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_token_is_served_while_one_instance_renews_it() {
    let world = with_redis().await;
    let wechats = instances(&world, 10);
    calls(&wechats, &world).await;
    world.clock.advance_seconds(LIFE - RENEWAL + 60);
    world.log_in("alice").await;
    let slow = Fault {
        path: Some(STABLE_TOKEN.into()),
        latency_ms: Some(1500),
        ..Fault::default()
    };
    world.wechat.set_faults([slow]).unwrap();
    let timed = join_all(wechats.iter().map(async |wechat| {
        let start = Instant::now();
        assert_eq!(call(wechat, &world).await, Ok(Advice::Pass));
        start.elapsed()
    }));
    let waited = timed
        .await
        .into_iter()
        .filter(|took| *took >= Duration::from_millis(1500))
        .count();
    assert_eq!((waited, world.wechat.calls(STABLE_TOKEN)), (1, 2));
    // The successor is everybody's.
    calls(&wechats, &world).await;
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_fails_harms_nobody_while_the_old_token_is_good() {
    let world = with_redis().await;
    let wechats = instances(&world, 3);
    calls(&wechats, &world).await;
    world.clock.advance_seconds(LIFE - RENEWAL + 60);
    world.log_in("alice").await;
    let busy = Fault {
        path: Some(STABLE_TOKEN.into()),
        errcode: Some(-1),
        ..Fault::default()
    };
    world.wechat.set_faults([busy]).unwrap();
    for outcome in calls(&wechats, &world).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    world.clock.advance_seconds(RENEWAL);
    assert_eq!(call(&wechats[0], &world).await, Err(WeChatError::Busy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_token_is_replaced_once_for_all_instances() {
    let world = with_redis().await;
    let wechats = instances(&world, 10);
    calls(&wechats, &world).await;
    // Another server takes the token from everybody, as only a forced refresh can.
    let new = another_server(&world, true).await;
    let before = world.wechat.calls(STABLE_TOKEN);
    for outcome in calls(&wechats, &world).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(world.wechat.calls(STABLE_TOKEN), before + 1);
    assert_eq!(
        another_server(&world, false).await,
        new,
        "nothing of ours was forced"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_errcode_of_a_stale_token_costs_one_more_call_and_never_a_loop() {
    for errcode in [40001, 40014, 42001] {
        let world = with_redis().await;
        let wechat = instance(&world);
        let refused = |times| Fault {
            path: Some(CHECK.into()),
            errcode: Some(errcode),
            times,
            ..Fault::default()
        };
        world.wechat.set_faults([refused(Some(1))]).unwrap();
        assert_eq!(call(&wechat, &world).await, Ok(Advice::Pass));
        assert_eq!(
            (world.wechat.calls(CHECK), world.wechat.calls(STABLE_TOKEN)),
            (2, 2),
            "{errcode}"
        );
        world.wechat.set_faults([refused(None)]).unwrap();
        assert_eq!(
            call(&wechat, &world).await,
            Err(WeChatError::AccessTokenStale(errcode.into()))
        );
        assert_eq!(
            (world.wechat.calls(CHECK), world.wechat.calls(STABLE_TOKEN)),
            (4, 3),
            "{errcode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_down_each_instance_lives_by_its_own_copy() {
    let mut world = with_redis().await;
    let wechats = instances(&world, 3);
    calls(&wechats, &world).await;
    world.redis().kill();
    for outcome in calls(&wechats, &world).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 1);
    // One that starts now has to fetch, and is given the same.
    let late = instance(&world);
    assert_eq!(call(&late, &world).await, Ok(Advice::Pass));
    assert_eq!(call(&late, &world).await, Ok(Advice::Pass));
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 2);
    // A stale one is replaced without Redis, too.
    another_server(&world, true).await;
    for outcome in calls(&wechats, &world).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_of_redis_costs_nothing_while_copies_are_good() {
    let mut world = with_redis().await;
    let wechat = instance(&world);
    call(&wechat, &world).await.unwrap();
    world.redis().flushall().await;
    assert_eq!(call(&wechat, &world).await, Ok(Advice::Pass));
    assert_eq!(call(&instance(&world), &world).await, Ok(Advice::Pass));
    assert_eq!(world.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_holds_it_encrypted() {
    let mut world = with_redis().await;
    call(&instance(&world), &world).await.unwrap();
    let token = another_server(&world, false).await;
    let held = stored(&mut world, &token_key()).await.unwrap();
    assert!(held.starts_with("k1.") && !held.contains(&token), "{held}");
    assert_eq!(
        stored(&mut world, &format!("{}:lock", token_key())).await,
        None,
        "the lock is given back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_open_counts_as_none() {
    let mut world = with_redis().await;
    call(&instance(&world), &world).await.unwrap();
    let good = stored(&mut world, &token_key()).await.unwrap();
    for bad in [
        "",
        "noise",
        "k1.AAAA",
        &good.replace("k1.", "k9."),
        &format!("{good}AAAA"),
    ] {
        store(&mut world, &token_key(), bad).await;
        let before = world.wechat.calls(STABLE_TOKEN);
        assert_eq!(
            call(&instance(&world), &world).await,
            Ok(Advice::Pass),
            "{bad}"
        );
        assert_eq!(world.wechat.calls(STABLE_TOKEN), before + 1, "{bad}");
        assert_ne!(stored(&mut world, &token_key()).await.unwrap(), bad);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_died_with_the_lock_blocks_nobody_for_longer_than_a_call() {
    let plan = World::with(SharedState::Redis)
        .own_redis()
        .set("WECHAT_TIMEOUT_MS", "500");
    let mut world = start(plan.start().await).await;
    store(
        &mut world,
        &format!("{}:lock", token_key()),
        "the dead one's",
    )
    .await;
    let start = Instant::now();
    assert_eq!(call(&instance(&world), &world).await, Ok(Advice::Pass));
    let waited = start.elapsed();
    assert!(
        (Duration::from_millis(1500)..Duration::from_secs(4)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_with_the_token_is_no_trouble_for_login() {
    let world = with_redis().await;
    let down = Fault {
        path: Some(STABLE_TOKEN.into()),
        status: Some(503),
        ..Fault::default()
    };
    world.wechat.set_faults([down]).unwrap();
    assert_eq!(
        call(&instance(&world), &world).await,
        Err(WeChatError::Status(503))
    );
    let before = world.wechat.calls(STABLE_TOKEN);
    world.log_in("bob").await;
    assert_eq!(world.wechat.calls(STABLE_TOKEN), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wechat_refuses_for_good_is_ours_to_repair() {
    let world = with_redis().await;
    for (errcode, remedy) in [
        (40164, "whitelist"),
        (89503, "administrator"),
        (40125, "WECHAT_SECRETS"),
    ] {
        let fault = Fault {
            path: Some(STABLE_TOKEN.into()),
            errcode: Some(errcode),
            ..Fault::default()
        };
        world.wechat.set_faults([fault]).unwrap();
        let error = call(&instance(&world), &world)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(remedy), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wechat_that_is_out_of_reach_is_an_error_and_no_hanging() {
    let world = start(
        World::with(SharedState::Redis)
            .own_redis()
            .proxied()
            .start()
            .await,
    )
    .await;
    world.proxies().wechat.set(wire_proxy::Fault::Refuse).await;
    world.proxies().wechat.reset();
    assert!(matches!(
        call(&instance(&world), &world).await,
        Err(WeChatError::Connect(_))
    ));
}

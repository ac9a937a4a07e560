//! WeChat's access token: fetched once for all instances, replaced once when it is stale, and not
//! needed for login.

use std::time::{Duration, Instant};

use e2e::{
    http::Client,
    settings::{APP_ID, APPS, OTHER_APP_ID},
    test_app::{SharedState, TestApp},
    wire_proxy,
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
/// A token's lifetime, and how long before its end WeChat issues a successor.
const LIFETIME: i64 = 7200;
const RENEWAL: i64 = 300;

/// One more instance with its own memory.
fn instance(app: &TestApp) -> AuthorizedWeChat {
    Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System).wechat_authorized()
}

fn instances(app: &TestApp, count: usize) -> Vec<AuthorizedWeChat> {
    (0..count).map(|_| instance(app)).collect()
}

/// A call that carries an access token: Alice has just logged in.
async fn call(wechat: &AuthorizedWeChat, app: &TestApp) -> Result<Advice, WeChatError> {
    let app_id: AppId = APP_ID.parse().unwrap();
    let open_id: OpenId = app
        .wechat
        .open_id("alice", Some(APP_ID))
        .unwrap()
        .parse()
        .unwrap();
    wechat
        .check_text(&app_id, &open_id, Scene::Profile, "小明")
        .await
}

async fn calls(wechats: &[AuthorizedWeChat], app: &TestApp) -> Vec<Result<Advice, WeChatError>> {
    join_all(wechats.iter().map(|wechat| call(wechat, app))).await
}

async fn start(app: TestApp) -> TestApp {
    app.log_in("alice").await;
    app
}

async fn with_redis() -> TestApp {
    start(
        TestApp::builder(SharedState::Redis)
            .own_redis()
            .start()
            .await,
    )
    .await
}

/// The value in Redis under this key.
async fn stored(app: &mut TestApp, key: &str) -> Option<String> {
    let mut connection = app.redis().connection().await;
    redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn store(app: &mut TestApp, key: &str, value: &str) {
    let mut connection = app.redis().connection().await;
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
async fn another_server(app: &TestApp, force: bool) -> String {
    let body = json!({
        "grant_type": "client_credential", "appid": APP_ID, "secret": APPS[0].1, "force_refresh": force,
    });
    let wechat = Client::new(app.env().get("WECHAT_BASE_URL").unwrap());
    let (_, _, answer) = wechat.post(STABLE_TOKEN, &body).send_raw().await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_instances_starting_together_fetch_one_token() {
    let app = with_redis().await;
    for outcome in calls(&instances(&app, 20), &app).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(
        (app.wechat.calls(STABLE_TOKEN), app.wechat.calls(CHECK)),
        (1, 20)
    );
    // One that starts later finds it.
    assert_eq!(call(&instance(&app), &app).await, Ok(Advice::Pass));
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mini_program_has_its_own_token() {
    let app = with_redis().await;
    let wechat = instance(&app);
    call(&wechat, &app).await.unwrap();
    let (app_id, open_id) = (
        OTHER_APP_ID,
        app.wechat.open_id("alice", Some(OTHER_APP_ID)).unwrap(),
    );
    app.api
        .login_in(app_id, &app.code_in(app_id, "alice"))
        .await
        .ok(200);
    let advice = wechat
        .check_text(
            &app_id.parse().unwrap(),
            &open_id.parse().unwrap(),
            Scene::Profile,
            "小明",
        )
        .await;
    assert_eq!(advice, Ok(Advice::Pass));
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_instance_has_its_own_token() {
    let app = start(
        TestApp::builder(SharedState::InProcess)
            .deployed()
            .start()
            .await,
    )
    .await;
    let wechats = instances(&app, 3);
    for _ in 0..3 {
        for outcome in calls(&wechats, &app).await {
            assert_eq!(outcome, Ok(Advice::Pass));
        }
    }
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_token_is_served_while_one_instance_renews_it() {
    let app = with_redis().await;
    let wechats = instances(&app, 10);
    calls(&wechats, &app).await;
    app.clock.advance_seconds(LIFETIME - RENEWAL + 60);
    app.log_in("alice").await;
    let slow = Fault {
        path: Some(STABLE_TOKEN.into()),
        latency_ms: Some(1500),
        ..Fault::default()
    };
    app.wechat.set_faults([slow]).unwrap();
    let timed = join_all(wechats.iter().map(async |wechat| {
        let start = Instant::now();
        assert_eq!(call(wechat, &app).await, Ok(Advice::Pass));
        start.elapsed()
    }));
    let waited = timed
        .await
        .into_iter()
        .filter(|took| *took >= Duration::from_millis(1500))
        .count();
    assert_eq!((waited, app.wechat.calls(STABLE_TOKEN)), (1, 2));
    // All instances use the successor.
    calls(&wechats, &app).await;
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_renewal_keeps_the_old_token_in_use() {
    let app = with_redis().await;
    let wechats = instances(&app, 3);
    calls(&wechats, &app).await;
    app.clock.advance_seconds(LIFETIME - RENEWAL + 60);
    app.log_in("alice").await;
    let busy = Fault {
        path: Some(STABLE_TOKEN.into()),
        errcode: Some(-1),
        ..Fault::default()
    };
    app.wechat.set_faults([busy]).unwrap();
    for outcome in calls(&wechats, &app).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    app.clock.advance_seconds(RENEWAL);
    assert_eq!(call(&wechats[0], &app).await, Err(WeChatError::Busy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_token_is_replaced_once_for_all_instances() {
    let app = with_redis().await;
    let wechats = instances(&app, 10);
    calls(&wechats, &app).await;
    // Another server invalidates the token with a forced refresh.
    let new = another_server(&app, true).await;
    let before = app.wechat.calls(STABLE_TOKEN);
    for outcome in calls(&wechats, &app).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(app.wechat.calls(STABLE_TOKEN), before + 1);
    assert_eq!(
        another_server(&app, false).await,
        new,
        "the backend did not force a refresh"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_token_is_retried_exactly_once() {
    for errcode in [40001, 40014, 42001] {
        let app = with_redis().await;
        let wechat = instance(&app);
        let refused = |times| Fault {
            path: Some(CHECK.into()),
            errcode: Some(errcode),
            times,
            ..Fault::default()
        };
        app.wechat.set_faults([refused(Some(1))]).unwrap();
        assert_eq!(call(&wechat, &app).await, Ok(Advice::Pass));
        assert_eq!(
            (app.wechat.calls(CHECK), app.wechat.calls(STABLE_TOKEN)),
            (2, 2),
            "{errcode}"
        );
        app.wechat.set_faults([refused(None)]).unwrap();
        assert_eq!(
            call(&wechat, &app).await,
            Err(WeChatError::AccessTokenStale(errcode.into()))
        );
        assert_eq!(
            (app.wechat.calls(CHECK), app.wechat.calls(STABLE_TOKEN)),
            (4, 3),
            "{errcode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_down_each_instance_uses_its_local_copy() {
    let mut app = with_redis().await;
    let wechats = instances(&app, 3);
    calls(&wechats, &app).await;
    app.redis().kill();
    for outcome in calls(&wechats, &app).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 1);
    // A new instance has to fetch it and gets the same token.
    let late = instance(&app);
    assert_eq!(call(&late, &app).await, Ok(Advice::Pass));
    assert_eq!(call(&late, &app).await, Ok(Advice::Pass));
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 2);
    // A stale token is replaced even without Redis.
    another_server(&app, true).await;
    for outcome in calls(&wechats, &app).await {
        assert_eq!(outcome, Ok(Advice::Pass));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_copies_survive_a_flush_of_redis() {
    let mut app = with_redis().await;
    let wechat = instance(&app);
    call(&wechat, &app).await.unwrap();
    app.redis().flushall().await;
    assert_eq!(call(&wechat, &app).await, Ok(Advice::Pass));
    assert_eq!(call(&instance(&app), &app).await, Ok(Advice::Pass));
    assert_eq!(app.wechat.calls(STABLE_TOKEN), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_encrypted_in_redis() {
    let mut app = with_redis().await;
    call(&instance(&app), &app).await.unwrap();
    let token = another_server(&app, false).await;
    let held = stored(&mut app, &token_key()).await.unwrap();
    assert!(held.starts_with("k1.") && !held.contains(&token), "{held}");
    assert_eq!(
        stored(&mut app, &format!("{}:lock", token_key())).await,
        None,
        "the lock is released"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_decrypted_is_ignored() {
    let mut app = with_redis().await;
    call(&instance(&app), &app).await.unwrap();
    let good = stored(&mut app, &token_key()).await.unwrap();
    for bad in [
        "",
        "noise",
        "k1.AAAA",
        &good.replace("k1.", "k9."),
        &format!("{good}AAAA"),
    ] {
        store(&mut app, &token_key(), bad).await;
        let before = app.wechat.calls(STABLE_TOKEN);
        assert_eq!(call(&instance(&app), &app).await, Ok(Advice::Pass), "{bad}");
        assert_eq!(app.wechat.calls(STABLE_TOKEN), before + 1, "{bad}");
        assert_ne!(stored(&mut app, &token_key()).await.unwrap(), bad);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_lock_delays_others_by_at_most_one_call() {
    let builder = TestApp::builder(SharedState::Redis)
        .own_redis()
        .set("WECHAT_TIMEOUT_MS", "500");
    let mut app = start(builder.start().await).await;
    store(
        &mut app,
        &format!("{}:lock", token_key()),
        "a dead instance's",
    )
    .await;
    let start = Instant::now();
    assert_eq!(call(&instance(&app), &app).await, Ok(Advice::Pass));
    let waited = start.elapsed();
    assert!(
        (Duration::from_millis(1500)..Duration::from_secs(4)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_works_while_the_access_token_is_unavailable() {
    let app = with_redis().await;
    let down = Fault {
        path: Some(STABLE_TOKEN.into()),
        status: Some(503),
        ..Fault::default()
    };
    app.wechat.set_faults([down]).unwrap();
    assert_eq!(
        call(&instance(&app), &app).await,
        Err(WeChatError::Status(503))
    );
    let before = app.wechat.calls(STABLE_TOKEN);
    app.log_in("bob").await;
    assert_eq!(app.wechat.calls(STABLE_TOKEN), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_refusals_name_the_remedy() {
    let app = with_redis().await;
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
        app.wechat.set_faults([fault]).unwrap();
        let error = call(&instance(&app), &app).await.unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_wechat_is_an_error() {
    let app = start(
        TestApp::builder(SharedState::Redis)
            .own_redis()
            .proxied()
            .start()
            .await,
    )
    .await;
    app.proxies().wechat.set(wire_proxy::Fault::Refuse).await;
    app.proxies().wechat.reset();
    assert!(matches!(
        call(&instance(&app), &app).await,
        Err(WeChatError::Connect(_))
    ));
}

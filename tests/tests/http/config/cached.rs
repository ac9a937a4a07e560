//! What is cached, and what happens without it.

use e2e::{
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
    wire_proxy,
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::create;
use crate::dynamodb_faults::{Fault, Front};

fn row_reads(app: &TestApp) -> usize {
    let traffic = app.proxies().dynamodb.take_traffic();
    let is_read = |name: &&String| *name == "GetItem";
    traffic.commands.iter().filter(is_read).count()
}

async fn value(api: &Api) -> serde_json::Value {
    api.config("home.banner").await.ok(200)["value"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_read_is_one_round_trip_to_redis() {
    let app = TestApp::builder(Redis).proxied().start().await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    value(&app.api).await;
    let redis = app.proxies().redis.as_ref().unwrap();
    redis.take_traffic();
    row_reads(&app);
    value(&app.api).await;
    let traffic = redis.take_traffic();
    assert_eq!(
        (traffic.commands, traffic.round_trips),
        (vec!["EVALSHA".to_owned(), "GET".to_owned()], 1)
    );
    assert_eq!(row_reads(&app), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_key_is_looked_up_once_a_minute(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).proxied().start().await;
    let root = app.administrator("root").await;
    row_reads(&app);
    for _ in 0..5 {
        app.api.config("invented").await.fails(404, "not_found");
    }
    assert_eq!(row_reads(&app), 1);
    // Once it is there, nobody waits for that minute to pass.
    create(&app.api, &root, "invented", "real").await;
    assert_eq!(app.api.config("invented").await.ok(200)["value"], "real");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_miss_a_value_at_the_same_time_read_it_once() {
    let app = TestApp::builder(Redis)
        .set("RATE_LIMIT_GUEST", "off")
        .own_redis()
        .proxied()
        .start()
        .await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    let mut instances = vec![app.api.clone()];
    for _ in 0..4 {
        instances.push(app.another_instance().await);
    }
    for api in &instances {
        api.config("connects").await.fails(404, "not_found");
    }
    row_reads(&app);
    let reads = instances.iter().cycle().take(100).map(value);
    for value in join_all(reads).await {
        assert_eq!(value, "welcome");
    }
    assert_eq!(row_reads(&app), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_has_expired_is_served_while_dynamodb_is_down(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let (front, api) = Front::of(&app).await;
    create(&api, &root, "home.banner", "welcome").await;
    value(&api).await;
    app.clock.advance_seconds(61);
    front.breaks("GetItem", Fault::Fails, usize::MAX);
    for _ in 0..5 {
        assert_eq!(value(&api).await, "welcome");
    }
    // One request has tried, for all.
    assert_eq!(front.heal(), 3);
    app.clock.advance_seconds(10);
    assert_eq!(value(&api).await, "welcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_value_is_served_no_longer_than_its_bound() {
    let app = TestApp::start(InProcess).await;
    let root = app.administrator("root").await;
    // The memory of one process, in front of a table that fails.
    let local = app.another_instance().await;
    create(&local, &root, "home.banner", "welcome").await;
    let (front, api) = Front::with(&app, &[("CONFIG_STALE_SECONDS", "120")]).await;
    value(&api).await;
    front.breaks("GetItem", Fault::Fails, usize::MAX);
    app.clock.advance_seconds(60 + 110);
    assert_eq!(value(&api).await, "welcome");
    app.clock.advance_seconds(11);
    let answer = api.config("home.banner").await;
    answer.fails(503, "unavailable");
    front.heal();
    value(&api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_value_is_not_served_stale() {
    let app = TestApp::start(Redis).await;
    let root = app.administrator("root").await;
    let (front, api) = Front::of(&app).await;
    create(&api, &root, "home.banner", "welcome").await;
    value(&api).await;
    app.clock.advance_seconds(61);
    app.api
        .delete_config(&root.access, "home.banner")
        .await
        .ok(200);
    front.breaks("GetItem", Fault::Fails, usize::MAX);
    api.config("home.banner").await.fails(503, "unavailable");
    front.heal();
    api.config("home.banner").await.fails(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_read_and_changed_without_redis() {
    capture();
    let mut app = TestApp::builder(Redis).own_redis().start().await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "one").await;
    value(&app.api).await;
    app.redis().kill();
    let answer = app.api.config("home.banner").await;
    assert_eq!(answer.ok(200)["value"], "one");
    assert_eq!(app.log_line(&answer)["degraded"], true);
    let body = json!({"value": "two", "version": 1});
    app.api
        .put_config(&root.access, "home.banner", &body)
        .await
        .ok(200);
    assert_eq!(value(&app.api).await, "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_loses_no_value() {
    let mut app = TestApp::builder(Redis).own_redis().start().await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "one").await;
    value(&app.api).await;
    app.lose_shared_state().await;
    let body = json!({"value": "two", "version": 1});
    app.api
        .put_config(&root.access, "home.banner", &body)
        .await
        .ok(200);
    app.lose_shared_state().await;
    assert_eq!(value(&app.api).await, "two");
}

/// A later version of the code may store values in another form, or with other members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_value_of_a_later_version_is_replaced() {
    let mut app = TestApp::builder(Redis).own_redis().start().await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    let mut connection = app.redis().connection().await;
    let header = "d\u{7f}\0\0\0\0\0\0\0\0\0\0\u{1}";
    for later in [
        "e{\"format\":2}".to_owned(),
        format!("{header}{{\"key\":\"home.banner\",\"text\":\"other\"}}"),
        format!("{header}not JSON"),
        header[..5].to_owned(),
    ] {
        let mut set = redis::cmd("SET");
        let set = set.arg("{config:home.banner}").arg(&later);
        set.exec_async(&mut connection).await.unwrap();
        assert_eq!(value(&app.api).await, "welcome", "{later}");
        let mut get = redis::cmd("GET");
        let get = get.arg("{config:home.banner}");
        let stored: Vec<u8> = get.query_async(&mut connection).await.unwrap();
        assert_eq!(stored.first(), Some(&b'd'));
        assert!(String::from_utf8_lossy(&stored).contains("\"value\":\"welcome\""));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_shared_state_every_read_asks_dynamodb(#[values(InProcess)] state: SharedState) {
    let app = TestApp::builder(state).deployed().proxied().start().await;
    let root = app.administrator("root").await;
    let other = app.another_instance().await;
    create(&app.api, &root, "home.banner", "one").await;
    assert_eq!(value(&other).await, "one");
    let body = json!({"value": "two", "version": 1});
    app.api
        .put_config(&root.access, "home.banner", &body)
        .await
        .ok(200);
    assert_eq!(value(&other).await, "two");
    let dynamodb = &app.proxies().dynamodb;
    dynamodb.set(wire_proxy::Fault::Refuse).await;
    dynamodb.cut();
    other.config("home.banner").await.fails(503, "unavailable");
}

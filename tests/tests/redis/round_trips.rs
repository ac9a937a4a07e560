//! What goes over the wire: how many questions a request asks, of whom, and in how many round
//! trips.

use e2e::{
    wire_proxy::{Traffic, WireProxy},
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

/// A world behind proxies, in which somebody has logged in and everything that is loaded once is
/// loaded.
async fn warm(state: SharedState) -> (World, Tokens) {
    let world = World::with(state).proxied().start().await;
    let tokens = world.log_in("alice").await;
    world.log_in("alice").await;
    world.api.info(&tokens.access).await.ok(200);
    forget(&world);
    (world, tokens)
}

fn forget(world: &World) {
    to_redis(world);
    to_dynamodb(world);
}

fn to_redis(world: &World) -> Traffic {
    world
        .proxies()
        .redis
        .as_ref()
        .map(WireProxy::take_traffic)
        .unwrap_or_default()
}

fn to_dynamodb(world: &World) -> Vec<String> {
    world.proxies().dynamodb.take_traffic().commands
}

/// What Redis was asked, where there is one: this.
#[track_caller]
fn assert_redis(world: &World, commands: &[&str]) {
    if world.proxies().redis.is_some() {
        assert_eq!(to_redis(world).commands, commands);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_read_of_the_profile_is_one_round_trip_to_redis() {
    let (world, tokens) = warm(SharedState::Redis).await;
    world.api.info(&tokens.access).await.ok(200);
    let commands = ["EVALSHA", "GET", "GET"].map(str::to_owned).to_vec();
    assert_eq!(
        to_redis(&world),
        Traffic {
            commands,
            round_trips: 1,
            connections: 0
        }
    );
    assert_eq!(to_dynamodb(&world), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reads_share_one_connection() {
    let (world, tokens) = warm(SharedState::Redis).await;
    for answer in join_all((0..64).map(|_| world.api.info(&tokens.access))).await {
        answer.ok(200);
    }
    let traffic = to_redis(&world);
    assert_eq!((traffic.connections, traffic.commands.len()), (0, 192));
    assert_eq!(
        traffic
            .commands
            .iter()
            .filter(|command| *command == "GET")
            .count(),
        128
    );
    assert!(traffic.round_trips <= 64, "{traffic:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_read_asks_dynamodb_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let (world, tokens) = warm(state).await;
    for _ in 0..10 {
        world.api.info(&tokens.access).await.ok(200);
    }
    assert_eq!(to_dynamodb(&world), [""; 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_is_one_transaction(#[values(InProcess, Redis)] state: SharedState) {
    let (world, _) = warm(state).await;
    world.log_in("bob").await;
    // The limit and the breaker together, the claim, and how it ended.
    assert_redis(&world, &["EVALSHA", "EVALSHA", "EVALSHA", "PSETEX"]);
    assert_eq!(
        to_dynamodb(&world),
        ["UpdateItem", "TransactWriteItems", "PutItem"]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_is_one_update_and_one_put(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let (world, _) = warm(state).await;
    world.log_in("alice").await;
    assert_redis(&world, &["EVALSHA", "EVALSHA", "EVALSHA", "GET", "PSETEX"]);
    assert_eq!(to_dynamodb(&world), ["UpdateItem", "PutItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_code_asks_wechat_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let (world, _) = warm(state).await;
    let code = world.code("alice");
    world.api.login(&code).await.ok(200);
    world.proxies().wechat.take_traffic();
    world.api.login(&code).await.ok(200);
    assert_eq!(world.proxies().wechat.take_traffic(), Traffic::default());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_one_conditional_update(#[values(InProcess, Redis)] state: SharedState) {
    let (world, tokens) = warm(state).await;
    world.api.refresh(&tokens.refresh).await.ok(200);
    // The user's role goes into the new token.
    assert_redis(&world, &["EVALSHA", "GET"]);
    assert_eq!(to_dynamodb(&world), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_one_update(#[values(InProcess, Redis)] state: SharedState) {
    let (world, tokens) = warm(state).await;
    world.api.logout(&tokens.access).await.ok(200);
    assert_redis(&world, &["EVALSHA", "GET", "PSETEX"]);
    assert_eq!(to_dynamodb(&world), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_one_update(#[values(InProcess, Redis)] state: SharedState) {
    let (world, tokens) = warm(state).await;
    world
        .api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    assert_redis(&world, &["EVALSHA", "GET", "GET", "DEL"]);
    assert_eq!(to_dynamodb(&world), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cpu_alone_refuses_pays_its_limit_and_asks_nothing_else(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let (world, tokens) = warm(state).await;
    world.api.info("x").await.fails(401, "token_invalid");
    world
        .api
        .info(&format!("{}x", tokens.access))
        .await
        .fails(401, "token_invalid");
    world.api.refresh("x").await.fails(401, "refresh_invalid");
    world.api.login("").await.fails_at(&["code"]);
    // The login also looks at the breaker.
    assert_redis(&world, &["EVALSHA"; 5]);
    world.api.request("GET", "/health").send().await.ok(200);
    world
        .api
        .request("GET", "/nowhere")
        .send()
        .await
        .fails(404, "not_found");
    assert_eq!(to_redis(&world), Traffic::default());
    assert_eq!(to_dynamodb(&world), [""; 0]);
}

//! A row that many instances miss at the same time is loaded once.

use std::{env, process::Command};

use e2e::{
    process::{Process, Spawn},
    redis_server::RedisServer,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    wire_proxy,
};
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use rstest::rstest;
use serde_json::json;
use shared::{
    clock::Clock,
    config::Env,
    ids::UserId,
    instance::Instance,
    random::Random,
    users::{Profiles, UserError},
};

use crate::load::TURN;

const PROCESSES: usize = 20;
const READERS: usize = 50;
/// A list with an element for each process that may start.
const START: &str = "start";

/// One process of the fleet: does nothing unless the test below has started it.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "these are not settings: the test passes them to its own child process"
)]
async fn one_process() {
    let (Ok(variables), Ok(user)) = (env::var("LOADS_VARIABLES"), env::var("LOADS_USER")) else {
        return;
    };
    let variables: Vec<(String, String)> = serde_json::from_str(&variables).unwrap();
    let url = variables.iter().find(|(name, _)| name == "REDIS_URL");
    let mut redis = connection(&url.unwrap().1).await;
    let instance = Instance::new(Env::new(variables), Clock::System, Random::System);
    let (profiles, user): (Profiles, UserId) = (instance.profiles(), user.parse().unwrap());
    // Everything is connected before the start.
    let nobody = profiles.get("0193c0de-0000-7000-8000-00000000abcd".parse().unwrap());
    assert!(matches!(nobody.await, Err(UserError::NotFound)));
    println!("is ready");
    let mut wait = redis::cmd("BLPOP");
    let wait = wait.arg(START).arg(e2e::PATIENCE.as_secs());
    wait.exec_async(&mut redis).await.unwrap();
    let found = join_all((0..READERS).map(|_| profiles.get(user))).await;
    let found = found.into_iter().flatten().count();
    println!("found {found} profiles");
}

async fn connection(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    // Its time-out for a reply would end the wait for the start.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    connecting.await.unwrap()
}

fn process(app: &TestApp, user: &str) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "loads::one_process", "--nocapture"]);
    command
        .env("LOADS_VARIABLES", json!(app.variables()).to_string())
        .env("LOADS_USER", user);
    Spawn::new(command).spawn()
}

async fn start(server: &RedisServer) {
    let mut start = redis::cmd("RPUSH");
    let start = start.arg(START).arg([1; PROCESSES].as_slice());
    let mut connection = server.connection().await;
    start.exec_async(&mut connection).await.unwrap();
}

fn row_reads(app: &TestApp) -> usize {
    let traffic = app.proxies().dynamodb.take_traffic();
    let is_read = |name: &&String| *name == "GetItem";
    traffic.commands.iter().filter(is_read).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_misses_in_twenty_processes_load_once() {
    let _turn = TURN.lock().await;
    let builder = TestApp::builder(Redis).own_redis().proxied();
    let mut app = builder.start().await;
    let user = app.log_in("alice").await.user_id();
    let processes: Vec<_> = (0..PROCESSES).map(|_| process(&app, &user)).collect();
    let ready = processes
        .iter()
        .map(|process| process.wait_for_line("is ready"));
    join_all(ready).await;
    app.evict_profile(&user).await;
    row_reads(&app);
    start(app.redis()).await;
    let found = format!("found {READERS} profiles");
    join_all(
        processes
            .iter()
            .map(|process| process.wait_for_line(&found)),
    )
    .await;
    assert_eq!(row_reads(&app), 1);
}

/// The same where the row can't be read: nobody waits for long, and everybody gets an answer.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_wait_for_a_row_that_cannot_be_read_get_an_answer(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).own_redis().proxied().start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    app.evict_profile(&tokens.user_id()).await;
    let dynamodb = &app.proxies().dynamodb;
    dynamodb.set(wire_proxy::Fault::Refuse).await;
    dynamodb.cut();
    for answer in join_all((0..10).map(|_| app.api.info(&tokens.access))).await {
        answer.fails(503, "unavailable");
    }
    dynamodb.heal().await;
    app.api.info(&tokens.access).await.ok(200);
}

//! DynamoDB throttles, fails, or loses answers: retries are bounded, the client gets a 503 with
//! `Retry-After`, and nothing is half-written.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::Response,
};
use e2e::{
    http::Answer,
    settings::APP_ID,
    wire_proxy,
    world::{
        Api,
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Throttled,
    Fails,
    /// Carried out, and the connection breaks before the answer.
    Lost,
}

/// In front of the table: breaks some operations, and forwards the others.
#[derive(Clone)]
struct Front {
    target: String,
    client: reqwest::Client,
    state: Arc<Mutex<Broken>>,
}

#[derive(Default)]
struct Broken {
    /// Which operation, how, and how often still.
    fault: Option<(&'static str, Fault, usize)>,
    /// How often that operation came.
    attempts: usize,
}

const ALWAYS: usize = usize::MAX;

impl Front {
    /// An instance of the world whose table is behind this.
    async fn of(world: &World) -> (Self, Api) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let front = Self {
            target: world.table.url(),
            client,
            state: Arc::default(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(front.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        let api = world
            .another_instance_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &url)])
            .await;
        (front, api)
    }

    fn breaks(&self, operation: &'static str, fault: Fault, times: usize) {
        *self.state.lock().unwrap() = Broken {
            fault: Some((operation, fault, times)),
            attempts: 0,
        };
    }

    /// Mends everything; how often the broken operation came.
    fn heal(&self) -> usize {
        std::mem::take(&mut *self.state.lock().unwrap()).attempts
    }

    fn fault_for(&self, target: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let (operation, fault, times) = state.fault?;
        if !target.ends_with(&format!(".{operation}")) {
            return None;
        }
        state.attempts += 1;
        state.fault = Some((operation, fault, times.saturating_sub(1)));
        (times > 0).then_some(fault)
    }

    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.client.post(&self.target).body(body);
        for name in [
            "content-type",
            "x-amz-target",
            "x-amz-date",
            "authorization",
        ] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.unwrap();
        let response = Response::builder()
            .status(answer.status())
            .header("content-type", "application/x-amz-json-1.0");
        response.body(answer.bytes().await.unwrap().into()).unwrap()
    }
}

async fn answer(State(front): State<Front>, headers: HeaderMap, body: Bytes) -> Response {
    match front.fault_for(headers["x-amz-target"].to_str().unwrap()) {
        None => front.forward(&headers, body).await,
        Some(Fault::Throttled) => refuse(400, "ProvisionedThroughputExceededException"),
        Some(Fault::Fails) => refuse(500, "InternalServerError"),
        Some(Fault::Lost) => {
            front.forward(&headers, body).await;
            let broken = futures_util::stream::once(async {
                Err::<Bytes, _>(std::io::Error::other("the wire broke"))
            });
            Response::new(Body::from_stream(broken))
        }
    }
}

fn refuse(status: u16, code: &str) -> Response {
    let body =
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "later"});
    Response::builder()
        .status(status)
        .body(body.to_string().into())
        .unwrap()
}

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.fails(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

async fn log_in(world: &World, api: &Api) -> Tokens {
    Tokens::of(&api.login(&world.code("alice")).await)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_throttles_twice_is_asked_three_times(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    for fault in [Fault::Throttled, Fault::Fails] {
        front.breaks("UpdateItem", fault, 2);
        api.change(&tokens.access, &json!({"nickname": "小明"}))
            .await
            .ok(200);
        assert_eq!(front.heal(), 3, "{fault:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_is_written_whole_or_not_at_all(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    for fault in [Fault::Throttled, Fault::Fails] {
        front.breaks("TransactWriteItems", fault, ALWAYS);
        unavailable(&api.login(&world.code("alice")).await);
        assert_eq!(front.heal(), 3, "{fault:?}");
        assert!(world.rows().await.is_empty());
    }
    assert_eq!(
        api.login(&world.code("alice")).await.ok(200)["isNewUser"],
        true
    );
    assert_eq!(
        world.rows().await.len(),
        3,
        "an identity, a profile and a session"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_session_is_not_written_leaves_a_whole_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    front.breaks("PutItem", Fault::Throttled, ALWAYS);
    unavailable(&api.login(&world.code("alice")).await);
    assert_eq!(front.heal(), 3);
    let identity = world.identity_row(APP_ID, "alice").await;
    let user = identity["uid"].as_s().unwrap();
    let profile = world
        .table
        .item(&format!("USER#{user}"), "PROFILE")
        .await
        .unwrap();
    assert_eq!(
        profile["identities"].as_ss().unwrap(),
        std::slice::from_ref(identity["pk"].as_s().unwrap())
    );
    assert_eq!(world.rows().await.len(), 2);
    assert_eq!(&log_in(&world, &api).await.user_id(), user);
    assert_eq!(world.rows().await.len(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_changes_nothing_when_it_fails(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let user = log_in(&world, &api).await.user_id();
    let before = world.rows().await;
    front.breaks("UpdateItem", Fault::Fails, ALWAYS);
    unavailable(&api.login(&world.code("alice")).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(world.rows().await, before);
    assert_eq!(log_in(&world, &api).await.user_id(), user);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_profile_changes_nothing_when_it_fails(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    let before = world.rows().await;
    let change = json!({"nickname": "小明"});
    front.breaks("UpdateItem", Fault::Throttled, ALWAYS);
    unavailable(&api.change(&tokens.access, &change).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(world.rows().await, before);
    assert_eq!(
        api.change(&tokens.access, &change).await.ok(200)["version"],
        2
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_changes_nothing_when_it_fails(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    let before = world.rows().await;
    front.breaks("UpdateItem", Fault::Fails, ALWAYS);
    unavailable(&api.logout(&tokens.access).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(world.rows().await, before);
    api.logout(&tokens.access).await.ok(200);
    api.info(&tokens.access).await.fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_bound_whole_or_not_at_all(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    let before = world.rows().await;
    let code = world.wechat.phone_code("alice", Some(APP_ID)).unwrap();
    front.breaks("TransactWriteItems", Fault::Throttled, ALWAYS);
    unavailable(&api.bind_phone(&tokens.access, &code).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(world.rows().await, before);
    assert!(api.bind_phone(&tokens.access, &code).await.ok(200)["phone"].is_string());
    assert_eq!(
        world.rows().await.len(),
        before.len() + 1,
        "the number's row"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_answer_is_lost_gets_the_one_successor(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    front.breaks("UpdateItem", Fault::Lost, 1);
    let successor = Tokens::of(&api.refresh(&tokens.refresh).await);
    assert_eq!(front.heal(), 2);
    assert_eq!(
        world.session_row(&tokens).await["counter"].as_n().unwrap(),
        "1"
    );
    assert_eq!(successor.session_id(), tokens.session_id());
    Tokens::of(&api.refresh(&successor.refresh).await);
}

/// The row says that it has ended, so no cache may say that it lives.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_whose_answers_are_lost_has_ended_the_session_everywhere(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let (front, api) = Front::of(&world).await;
    let tokens = log_in(&world, &api).await;
    api.info(&tokens.access).await.ok(200);
    front.breaks("UpdateItem", Fault::Lost, ALWAYS);
    unavailable(&api.logout(&tokens.access).await);
    assert_eq!(front.heal(), 3);
    assert!(world.session_row(&tokens).await.contains_key("revokedAt"));
    api.info(&tokens.access).await.fails(401, "session_revoked");
    api.refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_table_is_told_within_the_deadline(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::with(state)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "1000")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    let before = world.rows().await;
    let change = json!({"nickname": "小明"});
    world
        .proxies()
        .dynamodb
        .set(wire_proxy::Fault::Refuse)
        .await;
    world.proxies().dynamodb.cut_and_wait().await;
    unavailable(&world.api.change(&tokens.access, &change).await);
    world
        .proxies()
        .dynamodb
        .set(wire_proxy::Fault::BlackHole)
        .await;
    let start = Instant::now();
    world
        .api
        .change(&tokens.access, &change)
        .await
        .fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    world.proxies().dynamodb.heal().await;
    assert_eq!(world.rows().await, before);
    world.proxies().dynamodb.cut();
    world.api.change(&tokens.access, &change).await.ok(200);
}

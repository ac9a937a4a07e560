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
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
    wire_proxy, within_patience,
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Throttled,
    Fails,
    /// A transaction is cancelled because there was no capacity for its first write.
    Cancelled,
    /// Executed, but the connection breaks before the answer.
    Lost,
    /// Signed before the instance was frozen, sent after it was thawed.
    SignatureExpired,
    /// Signed with another secret.
    WrongSignature,
    /// A transaction is writing the row.
    Conflict,
    /// Refused with this code; with 400, as DynamoDB does.
    Refused(&'static str),
    /// A transaction is cancelled for this reason, because of its write at this position, or of its
    /// last one if it has fewer.
    CancelledFor(&'static str, usize),
}

/// In front of the table: breaks or holds some operations, and forwards the others.
#[derive(Clone)]
pub struct Front {
    url: String,
    target: String,
    client: reqwest::Client,
    state: Arc<Mutex<Broken>>,
    held: Arc<Mutex<Option<Arc<Held>>>>,
}

/// The requests of an operation that are held. Dropping this releases them.
pub struct Hold(Arc<Held>);

struct Held {
    operation: &'static str,
    only: &'static str,
    arrived: Notify,
    released: watch::Sender<bool>,
}

impl Hold {
    /// Waits until a request is held.
    pub async fn arrived(&self) {
        within_patience("a held request", self.0.arrived.notified()).await;
    }
}

impl BrokenWrites {
    /// Counts the request, if it is a write.
    fn fault_for(&mut self, target: &str) -> Option<Fault> {
        let (_, operation) = target.rsplit_once('.').unwrap();
        let fault = match operation {
            "TransactWriteItems" => self.transaction?,
            "PutItem" | "UpdateItem" | "DeleteItem" => self.single?,
            _ => return None,
        };
        if self.good == 0 {
            return Some(fault);
        }
        self.good -= 1;
        None
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.released.send_replace(true);
    }
}

/// The writes of all operations, of which the first ones are let through.
#[derive(Clone, Copy, Debug)]
pub struct BrokenWrites {
    /// How many are let through.
    pub good: usize,
    /// What writes of single rows get then.
    pub single: Option<Fault>,
    /// What transactions get then.
    pub transaction: Option<Fault>,
}

#[derive(Default)]
struct Broken {
    writes: Option<BrokenWrites>,
    /// The operation, its fault, and the remaining times.
    fault: Option<(&'static str, Fault, usize)>,
    /// Only requests that contain this text.
    only: String,
    /// How often that operation was attempted.
    attempts: usize,
    /// The idempotency tokens that it came with.
    tokens: Vec<String>,
}

pub const ALWAYS: usize = usize::MAX;

impl Front {
    /// An instance of the app whose table is behind this.
    pub async fn of(app: &TestApp) -> (Self, Api) {
        Self::with(app, &[]).await
    }

    /// The same, with some variables set otherwise.
    pub async fn with(app: &TestApp, changes: &[(&str, &str)]) -> (Self, Api) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Self {
            url: url.clone(),
            target: app.table.url(),
            client,
            state: Arc::default(),
            held: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(front.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        let mut changes = changes.to_vec();
        changes.push(("AWS_ENDPOINT_URL_DYNAMODB", &url));
        let api = app.another_instance_with(&changes).await;
        (front, api)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Holds the requests of this operation until the value that is returned is dropped. Not for
    /// long: an instance gives up a request after 1.5 s and sends it again, three times in all.
    pub fn hold(&self, operation: &'static str) -> Hold {
        self.hold_only("", operation)
    }

    /// The same, of requests that contain this text only.
    pub fn hold_only(&self, text: &'static str, operation: &'static str) -> Hold {
        let held = Arc::new(Held {
            operation,
            only: text,
            arrived: Notify::new(),
            released: watch::Sender::new(false),
        });
        *self.held.lock().unwrap() = Some(Arc::clone(&held));
        Hold(held)
    }

    async fn wait_while_held(&self, target: &str, body: &[u8]) {
        let held = self.held.lock().unwrap().clone();
        let is_held = |held: &Arc<Held>| {
            target.ends_with(&format!(".{}", held.operation))
                && String::from_utf8_lossy(body).contains(held.only)
        };
        let Some(held) = held.filter(is_held) else {
            return;
        };
        held.arrived.notify_one();
        let mut released = held.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    pub fn breaks(&self, operation: &'static str, fault: Fault, times: usize) {
        *self.state.lock().unwrap() = Broken {
            fault: Some((operation, fault, times)),
            ..Broken::default()
        };
    }

    /// The same, once, for requests that contain this text only.
    pub fn breaks_once(&self, text: &str, operation: &'static str, fault: Fault) {
        *self.state.lock().unwrap() = Broken {
            fault: Some((operation, fault, 1)),
            only: text.to_owned(),
            ..Broken::default()
        };
    }

    /// The same, each time.
    pub fn breaks_only(&self, text: &str, operation: &'static str, fault: Fault) {
        *self.state.lock().unwrap() = Broken {
            fault: Some((operation, fault, ALWAYS)),
            only: text.to_owned(),
            ..Broken::default()
        };
    }

    /// Breaks the writes of all operations.
    pub fn breaks_writes(&self, writes: BrokenWrites) {
        *self.state.lock().unwrap() = Broken {
            writes: Some(writes),
            ..Broken::default()
        };
    }

    /// Removes the fault and returns how often the operation was attempted.
    pub fn heal(&self) -> usize {
        self.heal_and_take_tokens().0
    }

    /// The same, and the different idempotency tokens that it came with.
    fn heal_and_take_tokens(&self) -> (usize, Vec<String>) {
        let Broken {
            attempts,
            mut tokens,
            ..
        } = std::mem::take(&mut *self.state.lock().unwrap());
        tokens.sort();
        tokens.dedup();
        (attempts, tokens)
    }

    fn fault_for(&self, target: &str, body: &[u8]) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        if let Some(writes) = &mut state.writes {
            let fault = writes.fault_for(target)?;
            state.attempts += 1;
            return Some(fault);
        }
        let (operation, fault, times) = state.fault?;
        let is_other = !String::from_utf8_lossy(body).contains(&state.only);
        if !target.ends_with(&format!(".{operation}")) || is_other {
            return None;
        }
        state.attempts += 1;
        let body: Value = serde_json::from_slice(body).unwrap();
        let token = body["ClientRequestToken"].as_str().map(str::to_owned);
        state.tokens.extend(token);
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
    let target = headers["x-amz-target"].to_str().unwrap();
    front.wait_while_held(target, &body).await;
    match front.fault_for(target, &body) {
        None => front.forward(&headers, body).await,
        Some(Fault::Throttled) => refuse(400, "ProvisionedThroughputExceededException"),
        Some(Fault::Fails) => refuse(500, "InternalServerError"),
        Some(Fault::Cancelled) => cancel(&body, "ThrottlingError", 0),
        Some(Fault::CancelledFor(reason, at)) => cancel(&body, reason, at),
        Some(Fault::Refused(code)) => refuse(400, code),
        Some(Fault::SignatureExpired) => {
            refuse_signature("Signature expired: x is now earlier than y")
        }
        Some(Fault::WrongSignature) => {
            refuse_signature("The request signature we calculated does not match")
        }
        Some(Fault::Conflict) => refuse(400, "TransactionConflictException"),
        Some(Fault::Lost) => {
            front.forward(&headers, body).await;
            let broken = futures_util::stream::once(async {
                Err::<Bytes, _>(std::io::Error::other("the connection broke"))
            });
            Response::new(Body::from_stream(broken))
        }
    }
}

fn refuse(status: u16, code: &str) -> Response {
    fail(status, code, json!({"message": "later"}))
}

/// With the date of now, as after a thaw: it does not tell that the request was held up.
fn refuse_signature(message: &str) -> Response {
    let mut response = fail(
        400,
        "InvalidSignatureException",
        json!({ "message": message }),
    );
    let now = Clock::System.now();
    let now = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert("date", now.parse().unwrap());
    response
}

/// A reason for each write: one is to blame, the others are not.
fn cancel(transaction: &[u8], reason: &str, at: usize) -> Response {
    let transaction: Value = serde_json::from_slice(transaction).unwrap();
    let writes = transaction["TransactItems"].as_array().unwrap().len();
    let mut reasons = vec![json!({"Code": "None"}); writes];
    reasons[at.min(writes - 1)] = json!({"Code": reason, "Message": "later"});
    let body = json!({"Message": "cancelled", "CancellationReasons": reasons});
    fail(400, "TransactionCanceledException", body)
}

fn fail(status: u16, code: &str, mut body: Value) -> Response {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
    Response::builder()
        .status(status)
        .body(body.to_string().into())
        .unwrap()
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.fails(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

async fn log_in(app: &TestApp, api: &Api) -> Tokens {
    Tokens::of(&api.login(&app.code("alice")).await)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_write_is_attempted_three_times(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
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
async fn a_request_whose_signature_expired_is_signed_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    front.breaks("TransactWriteItems", Fault::SignatureExpired, 1);
    let mut tokens = log_in(&app, &api).await;
    assert_eq!(front.heal(), 2);
    for operation in ["Query", "UpdateItem", "PutItem"] {
        // After a logout the next login counts the sessions.
        api.logout(&tokens.access).await.ok(200);
        front.breaks(operation, Fault::SignatureExpired, 1);
        tokens = log_in(&app, &api).await;
        assert_eq!(front.heal(), 2, "{operation}");
    }
    front.breaks("GetItem", Fault::SignatureExpired, 1);
    api.info(&tokens.access).await.ok(200);
    front.heal();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_that_keep_expiring_are_passing_trouble(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    front.breaks("UpdateItem", Fault::SignatureExpired, ALWAYS);
    let change = json!({"nickname": "小明"});
    assert_unavailable(&api.change(&tokens.access, &change).await);
    assert_eq!(front.heal(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_signature_is_not_sent_again(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    front.breaks("UpdateItem", Fault::WrongSignature, ALWAYS);
    let change = json!({"nickname": "小明"});
    let answer = api.change(&tokens.access, &change).await;
    answer.fails(500, "internal");
    assert_eq!(front.heal(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_transactions_on_its_row(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    front.breaks("UpdateItem", Fault::Conflict, 8);
    let change = json!({"nickname": "小明"});
    api.change(&tokens.access, &change).await.ok(200);
    assert_eq!(front.heal(), 9);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contention_that_does_not_end_is_a_conflict(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    let before = app.rows().await;
    front.breaks("UpdateItem", Fault::Conflict, ALWAYS);
    let change = json!({"nickname": "小明"});
    api.change(&tokens.access, &change)
        .await
        .fails(409, "conflict");
    front.heal();
    assert_eq!(app.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_is_written_atomically(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    for fault in [Fault::Throttled, Fault::Fails] {
        front.breaks("TransactWriteItems", fault, ALWAYS);
        assert_unavailable(&api.login(&app.code("alice")).await);
        assert_eq!(front.heal(), 3, "{fault:?}");
        assert!(app.rows().await.is_empty());
    }
    assert_eq!(
        api.login(&app.code("alice")).await.ok(200)["isNewUser"],
        true
    );
    assert_eq!(
        app.rows().await.len(),
        3,
        "an identity, a profile and a session"
    );
}

/// DynamoDB recognises it as the same transaction by its token.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_sent_again_is_written_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    for (person, fault, times) in [
        ("alice", Fault::Cancelled, 2),
        // The sender sends it again.
        ("bob", Fault::Lost, 1),
    ] {
        let before = app.rows().await.len();
        front.breaks("TransactWriteItems", fault, times);
        let login = api.login(&app.code(person)).await;
        assert_eq!(login.ok(200)["isNewUser"], true, "{fault:?}");
        let (attempts, tokens) = front.heal_and_take_tokens();
        assert_eq!((attempts, tokens.len()), (times + 1, 1), "{fault:?}");
        assert_eq!(app.rows().await.len(), before + 3, "{fault:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stays_throttled_writes_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    front.breaks("TransactWriteItems", Fault::Cancelled, ALWAYS);
    assert_unavailable(&api.login(&app.code("alice")).await);
    assert_eq!(front.heal(), 3);
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_whose_answers_are_lost_leaves_a_complete_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    front.breaks("TransactWriteItems", Fault::Lost, ALWAYS);
    assert_unavailable(&api.login(&app.code("alice")).await);
    assert_eq!(front.heal(), 3);
    let identity = app.identity_row(APP_ID, "alice").await;
    let user = identity["uid"].as_s().unwrap();
    let profile = app
        .table
        .item(&format!("USER#{user}"), "PROFILE")
        .await
        .unwrap();
    assert_eq!(
        profile["identities"].as_ss().unwrap(),
        std::slice::from_ref(identity["pk"].as_s().unwrap())
    );
    // With the session that nobody has a token of.
    assert_eq!(app.rows().await.len(), 3);
    let again = api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], false);
    assert_eq!(&Tokens::of(&again).user_id(), user);
    assert_eq!(app.rows().await.len(), 4);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_returning_login_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let user = log_in(&app, &api).await.user_id();
    let before = app.rows().await;
    front.breaks("UpdateItem", Fault::Fails, ALWAYS);
    assert_unavailable(&api.login(&app.code("alice")).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(app.rows().await, before);
    assert_eq!(log_in(&app, &api).await.user_id(), user);
}

/// One that goes out beside its session's row: that session is not thrown away for it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_whose_reply_is_lost_is_counted_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    for _ in 0..2 {
        log_in(&app, &api).await;
    }
    let sessions = app.count("SESSION#").await;
    front.breaks("UpdateItem", Fault::Lost, 1);
    let tokens = log_in(&app, &api).await;
    assert_eq!(front.heal(), 2);
    let identity = app.identity_row(APP_ID, "alice").await;
    assert_eq!(identity["loginCount"].as_n().unwrap(), "3");
    assert_eq!(app.count("SESSION#").await, sessions + 1);
    api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_profile_update_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    let before = app.rows().await;
    let change = json!({"nickname": "小明"});
    front.breaks("UpdateItem", Fault::Throttled, ALWAYS);
    assert_unavailable(&api.change(&tokens.access, &change).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(app.rows().await, before);
    assert_eq!(
        api.change(&tokens.access, &change).await.ok(200)["version"],
        2
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_logout_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    let before = app.rows().await;
    front.breaks("UpdateItem", Fault::Fails, ALWAYS);
    assert_unavailable(&api.logout(&tokens.access).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(app.rows().await, before);
    api.logout(&tokens.access).await.ok(200);
    api.info(&tokens.access).await.fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_number_is_bound_atomically(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    let before = app.rows().await;
    let code = app.wechat.phone_code("alice", Some(APP_ID)).unwrap();
    front.breaks("TransactWriteItems", Fault::Throttled, ALWAYS);
    assert_unavailable(&api.bind_phone(&tokens.access, &code).await);
    assert_eq!(front.heal(), 3);
    assert_eq!(app.rows().await, before);
    assert!(api.bind_phone(&tokens.access, &code).await.ok(200)["phone"].is_string());
    assert_eq!(app.rows().await.len(), before.len() + 1, "the number's row");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_reply_is_lost_is_retried_to_the_same_successor(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    front.breaks("UpdateItem", Fault::Lost, 1);
    let successor = Tokens::of(&api.refresh(&tokens.refresh).await);
    assert_eq!(front.heal(), 2);
    assert_eq!(
        app.session_row(&tokens).await["counter"].as_n().unwrap(),
        "1"
    );
    assert_eq!(successor.session_id(), tokens.session_id());
    Tokens::of(&api.refresh(&successor.refresh).await);
}

/// The row is marked as ended, so no cache may report it as active.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_whose_replies_are_lost_ends_the_session_everywhere(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = log_in(&app, &api).await;
    api.info(&tokens.access).await.ok(200);
    front.breaks("UpdateItem", Fault::Lost, ALWAYS);
    assert_unavailable(&api.logout(&tokens.access).await);
    assert_eq!(front.heal(), 3);
    assert!(app.session_row(&tokens).await.contains_key("revokedAt"));
    api.info(&tokens.access).await.fails(401, "session_revoked");
    api.refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_table_fails_the_request_within_its_deadline(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "1000")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let before = app.rows().await;
    let change = json!({"nickname": "小明"});
    app.proxies().dynamodb.set(wire_proxy::Fault::Refuse).await;
    app.proxies().dynamodb.cut_and_wait().await;
    assert_unavailable(&app.api.change(&tokens.access, &change).await);
    app.proxies()
        .dynamodb
        .set(wire_proxy::Fault::BlackHole)
        .await;
    let start = Instant::now();
    app.api
        .change(&tokens.access, &change)
        .await
        .fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    app.proxies().dynamodb.heal().await;
    assert_eq!(app.rows().await, before);
    app.proxies().dynamodb.cut();
    app.api.change(&tokens.access, &change).await.ok(200);
}

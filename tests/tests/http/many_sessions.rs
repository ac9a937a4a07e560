//! A user with ten thousand sessions, as one could get before there was a limit: each request stays
//! within its deadline, and what ends them all is complete in the end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::Item,
    http::Answer,
    test_app::{SharedState::Redis, TestApp, Tokens},
};
use serde_json::json;

/// How many each test has. Ending one takes milliseconds here, so tests that do have fewer, and
/// requests that end sooner, unless in their long form (`make soak`).
const SESSIONS: usize = 10_000;
const FEWER: usize = 3000;
/// What a request takes at most, beyond its time-out: a loaded machine notices late.
const TOLERANCE: Duration = Duration::from_millis(500);
/// How often a request is sent again until it has done all, on a slow machine.
const MOST_TIMES: usize = 60;

/// An instance with its time-out, an administrator, and alice with her sessions.
struct Fixture {
    app: TestApp,
    root: Tokens,
    alice: Tokens,
    sessions: usize,
    timeout: Duration,
}

impl Fixture {
    /// For requests that cost the same whatever the number of sessions.
    async fn for_pages() -> Self {
        Self::new(SESSIONS, Duration::from_secs(8)).await
    }

    /// For requests that have to end all sessions.
    async fn to_end_all() -> Self {
        if e2e::is_soak() {
            Self::for_pages().await
        } else {
            Self::new(FEWER, Duration::from_secs(3)).await
        }
    }

    async fn new(sessions: usize, timeout: Duration) -> Self {
        let app = TestApp::builder(Redis);
        let app = app.set("REQUEST_TIMEOUT_MS", &timeout.as_millis().to_string());
        let app = app.start().await;
        let (root, alice) = (app.administrator("root").await, app.log_in("alice").await);
        let row = app.session_row(&alice).await;
        let text = |text: &str| AttributeValue::S(text.to_owned());
        app.table.import((1..sessions).map(|number| {
            let id = format!("0193c0de-0000-7000-8000-{number:012}");
            let mut row = row.clone();
            row.insert("sk".to_owned(), text(&format!("SESSION#{id}")));
            row.insert("id".to_owned(), text(&id));
            row
        }));
        Self {
            app,
            root,
            alice,
            sessions,
            timeout,
        }
    }

    /// The sessions that have rows, and of those the ones that have not ended.
    async fn count(&self) -> (usize, usize) {
        let partition = format!("USER#{}", self.alice.user_id());
        let rows = self.app.table.partition(&partition).await;
        let is_session = |row: &&Item| row["sk"].as_s().unwrap().starts_with("SESSION#");
        let rows = rows.iter().filter(is_session);
        let living = rows.clone().filter(|row| !row.contains_key("revokedAt"));
        (rows.count(), living.count())
    }

    /// Sends a request, which is answered before its time-out.
    async fn timed(&self, request: impl Future<Output = Answer>) -> Answer {
        let start = Instant::now();
        let answer = request.await;
        let took = start.elapsed();
        assert!(took < self.timeout + TOLERANCE, "{took:?}: {answer:?}");
        answer
    }

    /// Sends a request until it has done everything.
    async fn repeat(&self, mut request: impl AsyncFnMut() -> Answer) -> Answer {
        for _ in 0..MOST_TIMES {
            let answer = self.timed(request()).await;
            match answer.status {
                202 => assert_eq!(answer.data()["status"], "deleting"),
                503 => drop(answer.fails(503, "unavailable").clone()),
                _ => return answer,
            }
        }
        panic!("still not done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_a_user_with_ten_thousand_sessions_costs_a_page() {
    let fixture = Fixture::for_pages().await;
    let (api, alice) = (&fixture.app.api, &fixture.alice);
    let list = fixture.timed(api.sessions(&alice.access)).await;
    assert_eq!(list.ok(200)["sessions"].as_array().unwrap().len(), 100);
    let id = alice.user_id();
    let read = api.user(&fixture.root.access, &id);
    assert_eq!(fixture.timed(read).await.ok(200)["sessions"], 100);
    // A login ends those of one page that are too many.
    let again = fixture.timed(api.login(&fixture.app.code("alice"))).await;
    let again = Tokens::of(&again).access;
    fixture.timed(api.info(&again)).await.ok(200);
    let (rows, _) = fixture.count().await;
    assert!(rows >= SESSIONS - 100, "{rows}");

    let (mut cursor, mut found) = (None, BTreeSet::new());
    loop {
        let page = fixture.timed(api.export(&again, cursor.as_deref())).await;
        let page = page.ok(200);
        assert!(page.to_string().len() < 1100 * 1024);
        let ids = page["sessions"].as_array().unwrap().iter();
        found.extend(ids.map(|one| one["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found.len(), rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_everywhere_ends_all_sessions() {
    let fixture = Fixture::to_end_all().await;
    let (api, access) = (&fixture.app.api, &fixture.alice.access);
    let everywhere = json!({"all": true});
    let logout = async || api.logout_with(access, &everywhere).await;
    fixture.repeat(logout).await.ok(200);
    assert_eq!(fixture.count().await, (fixture.sessions, 0));
    api.info(access).await.fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabling_a_user_ends_all_sessions() {
    let fixture = Fixture::to_end_all().await;
    let (api, root) = (&fixture.app.api, &fixture.root.access);
    let change = json!({"version": 1, "status": "disabled"});
    let id = fixture.alice.user_id();
    let disable = async || api.change_user(root, &id, &change).await;
    fixture.repeat(disable).await.ok(200);
    assert_eq!(fixture.count().await, (fixture.sessions, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_deleted_with_all_sessions() {
    let fixture = Fixture::to_end_all().await;
    let (api, access) = (&fixture.app.api, &fixture.alice.access);
    let delete = async || api.delete_account(access).await;
    let deleted = fixture.repeat(delete).await;
    assert_eq!(deleted.ok(200)["status"], "deleted");
    assert_eq!(fixture.count().await, (0, 0));
}

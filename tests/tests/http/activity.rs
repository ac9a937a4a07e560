//! `GET /api/v1/user/activity` and `GET /api/v1/users/{id}/activity`: what the worker makes of the
//! table's changes.

use std::{path::Path, sync::Arc, time::Duration};

use e2e::{
    changes::{Changes, event, failures},
    http::Client,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
    within_patience,
};
use local::{Gateway, LogTail};
use rstest::rstest;
use serde_json::{Value, json, value::RawValue};
use shared::{
    clock::Clock,
    config::Env,
    instance::Instance,
    random::Random,
    runtime::{EventHandler, InvocationScope, Invoker},
};

/// An app whose changes are followed.
struct Followed {
    app: TestApp,
    changes: Changes,
    worker: Invoker,
}

impl Followed {
    async fn start(state: SharedState) -> Self {
        let app = TestApp::start(state).await;
        let changes = app.table.changes().await;
        let clock = Clock::Manual(app.clock.clone());
        let instance = Instance::new(app.env(), clock, Random::System);
        let (_, handler) = local::WORKERS[0];
        let handler: Arc<dyn EventHandler> = handler(&instance);
        Self {
            app,
            changes,
            worker: Invoker::new(handler),
        }
    }

    async fn hand_over(&self, records: &[Value]) {
        let event = RawValue::from_string(event(records).to_string()).unwrap();
        let invocation = InvocationScope {
            id: "i1",
            deadline: None,
        };
        let answer = self.worker.invoke(&event, invocation).await.unwrap();
        assert_eq!(failures(&answer), [] as [&str; 0]);
    }

    /// Until nothing changes: the worker writes rows, too.
    async fn follow(&mut self) {
        loop {
            let records = self.changes.read();
            if records.is_empty() {
                return;
            }
            self.hand_over(&records).await;
        }
    }

    async fn page(&self, tokens: &Tokens, path: &str) -> Value {
        let request = self.app.api.request("GET", path).bearer(&tokens.access);
        request.send().await.ok(200).clone()
    }

    /// The user's own activities, the newest first.
    async fn own(&self, tokens: &Tokens) -> Vec<Value> {
        let page = self.page(tokens, "/api/v1/user/activity?limit=100").await;
        assert_eq!(page["cursor"], Value::Null);
        page["activities"].as_array().unwrap().clone()
    }

    async fn events(&self, tokens: &Tokens) -> Vec<String> {
        let own = self.own(tokens).await;
        let event = |activity: &Value| activity["event"].as_str().unwrap().to_owned();
        own.iter().map(event).collect()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_sees_what_happened_the_newest_first(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut followed = Followed::start(state).await;
    let first = followed.app.log_in("alice").await;
    followed.app.clock.advance_seconds(1);
    let login = followed.app.api.request("POST", "/api/v1/user/login");
    let login = login.header("user-agent", "MicroMessenger/8.0");
    let login = login.json(&json!({"code": followed.app.code("alice")}));
    let second = Tokens::of(&login.send().await);
    followed.app.clock.advance_seconds(1);
    let phone = followed.app.wechat.phone_code("alice", None).unwrap();
    let bind = followed.app.api.request("POST", "/api/v1/user/phone");
    let bind = bind.bearer(&second.access).json(&json!({"code": phone}));
    bind.send().await.ok(200);
    followed.app.clock.advance_seconds(1);
    followed.app.api.logout(&first.access).await.ok(200);
    followed.follow().await;
    let events = followed.events(&second).await;
    assert_eq!(events, ["logout", "phone_bound", "login", "login"]);
    let own = followed.own(&second).await;
    assert_eq!(own[0]["sessionId"], first.session_id());
    assert_eq!(own[2]["sessionId"], second.session_id());
    assert_eq!(own[2]["byAdministrator"], false);
    assert_eq!(own[2]["userAgent"], "MicroMessenger/8.0");
    let text = json!(own).to_string();
    let number = followed.app.api.info(&second.access).await.ok(200)["phone"].clone();
    assert!(!text.contains(number.as_str().unwrap()), "{text}");
    assert!(!text.contains(&second.refresh) && !text.contains(&second.access));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_is_read_page_by_page_and_by_its_user_only(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut followed = Followed::start(state).await;
    let bob = followed.app.log_in("bob").await;
    let mut tokens = followed.app.log_in("alice").await;
    for _ in 0..4 {
        followed.app.clock.advance_seconds(1);
        tokens = followed.app.log_in("alice").await;
    }
    followed.follow().await;
    let mut path = "/api/v1/user/activity?limit=2".to_owned();
    let mut seen = Vec::new();
    let mut cursors = Vec::new();
    loop {
        let page = followed.page(&tokens, &path).await;
        let activities = page["activities"].as_array().unwrap();
        assert!(activities.len() <= 2);
        seen.extend(activities.iter().map(|it| it["at"].to_string()));
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        cursors.push(cursor.to_owned());
        path = format!("/api/v1/user/activity?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|one, other| one > other), "{seen:?}");
    let path = format!("/api/v1/user/activity?cursor={}", cursors[0]);
    for (tokens, path) in [
        (&bob, path.as_str()),
        (&bob, "/api/v1/user/activity?cursor=forged"),
        (&bob, "/api/v1/user/activity?limit=0"),
        (&bob, "/api/v1/user/activity?page=2"),
    ] {
        let request = followed.app.api.request("GET", path);
        let refused = request.bearer(&tokens.access).send().await;
        refused.fails(400, "invalid_request");
    }
    assert_eq!(followed.events(&bob).await, ["login"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_who_changed_what_and_the_user_that_it_was_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut followed = Followed::start(state).await;
    let admin = followed.app.administrator("admin").await;
    let tokens = followed.app.log_in("alice").await;
    let id = tokens.user_id();
    followed.app.clock.advance_seconds(1);
    let change = |body: Value| {
        let request = followed
            .app
            .api
            .request("PUT", &format!("/api/v1/users/{id}"));
        request.bearer(&admin.access).json(&body).send()
    };
    change(json!({"role": "admin", "version": 1})).await.ok(200);
    change(json!({"status": "disabled", "version": 2}))
        .await
        .ok(200);
    change(json!({"status": "active", "version": 3}))
        .await
        .ok(200);
    followed.follow().await;
    let path = format!("/api/v1/users/{id}/activity");
    let page = followed.page(&admin, &path).await;
    let seen: Vec<_> = page["activities"].as_array().unwrap().iter().collect();
    let changes: Vec<_> = seen
        .iter()
        .filter(|it| it["event"].as_str().unwrap().ends_with("_changed"))
        .map(|it| json!([it["event"], it["from"], it["to"], it["administratorId"]]))
        .collect();
    let by = admin.user_id();
    let mut wanted = vec![
        json!(["role_changed", "user", "admin", by]),
        json!(["status_changed", "active", "disabled", by]),
        json!(["status_changed", "disabled", "active", by]),
    ];
    // All in the same moment: in no order.
    let mut changes = changes;
    changes.sort_by_key(Value::to_string);
    wanted.sort_by_key(Value::to_string);
    assert_eq!(changes, wanted);
    let ended: Vec<_> = seen
        .iter()
        .filter(|it| it["event"] == "session_ended")
        .collect();
    assert_eq!(ended.len(), 1, "{seen:?}");
    assert_eq!(ended[0]["administratorId"], by);
    let tokens = followed.app.log_in("alice").await;
    let own = json!(followed.own(&tokens).await).to_string();
    assert!(!own.contains(&by), "{own}");
    assert!(own.contains(r#""byAdministrator":true"#), "{own}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_comes_twice_and_backwards_is_one_entry(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut followed = Followed::start(state).await;
    let tokens = followed.app.log_in("alice").await;
    followed.app.clock.advance_seconds(1);
    followed.app.api.refresh(&tokens.refresh).await.ok(200);
    let other = followed.app.log_in("alice").await;
    followed.app.api.logout(&other.access).await.ok(200);
    let records = followed.changes.read();
    assert!(records.len() > 4, "{records:?}");
    followed.hand_over(&records).await;
    let once = followed.own(&tokens).await;
    let backwards: Vec<_> = records.iter().rev().cloned().collect();
    followed.hand_over(&backwards).await;
    for record in &records {
        followed.hand_over(std::slice::from_ref(record)).await;
    }
    // A day later.
    followed.app.clock.advance_seconds(86_400);
    followed.hand_over(&records).await;
    let tokens = followed.app.log_in("alice").await;
    assert_eq!(followed.own(&tokens).await, once);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_refresh_token_is_an_entry(#[values(InProcess, Redis)] state: SharedState) {
    let mut followed = Followed::start(state).await;
    let tokens = followed.app.log_in("alice").await;
    followed.app.api.refresh(&tokens.refresh).await.ok(200);
    followed.app.clock.advance_seconds(3600);
    let reused = followed.app.api.refresh(&tokens.refresh).await;
    reused.fails(401, "refresh_reused");
    followed.follow().await;
    let tokens = followed.app.log_in("alice").await;
    assert_eq!(followed.events(&tokens).await, ["refresh_reused", "login"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_expire(#[values(InProcess, Redis)] state: SharedState) {
    let mut followed = Followed::start(state).await;
    followed.app.log_in("alice").await;
    followed.follow().await;
    followed.app.clock.advance_seconds(190 * 86_400 + 1);
    let tokens = followed.app.log_in("alice").await;
    assert_eq!(followed.events(&tokens).await, [] as [&str; 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_deleted_account_however_late_its_changes_come(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut followed = Followed::start(state).await;
    let tokens = followed.app.log_in("alice").await;
    followed.follow().await;
    let delete = followed.app.api.request("DELETE", "/api/v1/user");
    delete.bearer(&tokens.access).send().await.ok(200);
    let late = followed.changes.read();
    followed.hand_over(&late).await;
    followed.follow().await;
    let rows = followed.app.table.items().await;
    let text = format!("{rows:?}");
    assert!(!text.contains(&tokens.user_id()), "{text}");
}

/// `make run` with this folder, until the end of what is done with it.
async fn with_local<T>(folder: &Path, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let data = folder.to_str().unwrap();
    let env = Env::new([("PORT", "0"), ("DATA_DIR", data)]);
    let gateway = Gateway::start(env, LogTail::default()).await.unwrap();
    let client = Client::new(&format!("http://{}", gateway.address));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(gateway.serve(async { drop(stopped.await) }));
    let done = work(&client).await;
    drop(stop);
    serving.await.unwrap().unwrap();
    done
}

async fn log_in_locally(client: &Client) -> Tokens {
    let code = client.post("/_wechat/_control/code", &json!({"user": "alice"}));
    let code: Value = serde_json::from_slice(&code.send_raw().await.2).unwrap();
    let login = client.post("/api/v1/user/login", &json!({"code": code["code"]}));
    Tokens::of(&login.send().await)
}

/// The user's activities, when there are as many.
async fn activities(client: &Client, tokens: &Tokens, count: usize) -> Vec<Value> {
    let read = async {
        loop {
            let request = client.get("/api/v1/user/activity").bearer(&tokens.access);
            let page = request.send().await.ok(200).clone();
            let activities = page["activities"].as_array().unwrap();
            if activities.len() >= count {
                return activities.clone();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within_patience("the last activity", read).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn make_run_follows_the_changes_of_its_own_table_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = with_local(folder.path(), async |client| {
        let tokens = log_in_locally(client).await;
        activities(client, &tokens, 1).await
    });
    let first = first.await;
    assert_eq!(first.len(), 1, "{first:?}");
    let both = with_local(folder.path(), async |client| {
        let tokens = log_in_locally(client).await;
        activities(client, &tokens, 2).await
    });
    let both = both.await;
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(both[1], first[0]);
    assert!(both.iter().all(|it| it["event"] == "login"), "{both:?}");
}

//! Calls and round trips that each request makes to Redis, DynamoDB and WeChat.

use std::time::Duration;

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, TestAppBuilder, Tokens,
    },
    upload::{PNG, post_form},
    wire_proxy::{Fault, Traffic, WireProxy},
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

/// An app behind proxies with a logged-in user, after everything that is loaded once has been
/// loaded.
async fn warm(state: SharedState) -> (TestApp, Tokens) {
    warm_up(TestApp::builder(state)).await
}

async fn warm_up(app: TestAppBuilder) -> (TestApp, Tokens) {
    let app = app.proxied().start().await;
    let tokens = app.log_in("alice").await;
    app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    forget(&app);
    (app, tokens)
}

fn forget(app: &TestApp) {
    to_redis(app);
    to_dynamodb(app);
}

fn to_redis(app: &TestApp) -> Traffic {
    app.proxies()
        .redis
        .as_ref()
        .map(WireProxy::take_traffic)
        .unwrap_or_default()
}

fn to_dynamodb(app: &TestApp) -> Vec<String> {
    app.proxies().dynamodb.take_traffic().commands
}

/// Asserts the commands that Redis received, where there is a Redis.
#[track_caller]
fn assert_redis(app: &TestApp, commands: &[&str]) {
    if app.proxies().redis.is_some() {
        assert_eq!(to_redis(app).commands, commands);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_read_of_the_profile_is_one_round_trip_to_redis() {
    let (app, tokens) = warm(SharedState::Redis).await;
    app.api.info(&tokens.access).await.ok(200);
    let commands = ["EVALSHA", "GET", "GET"].map(str::to_owned).to_vec();
    assert_eq!(
        to_redis(&app),
        Traffic {
            commands,
            round_trips: 1,
            connections: 0
        }
    );
    assert_eq!(to_dynamodb(&app), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_not_seen_for_a_while_charges_its_user_in_a_second_round_trip() {
    let (app, tokens) = warm(SharedState::Redis).await;
    app.clock.advance_seconds(10);
    app.api.info(&tokens.access).await.ok(200);
    // After so long it is also looked whether removals would be accepted.
    let commands = ["EVALSHA", "PSETEX", "DEL", "GET", "GET", "EVALSHA"];
    let commands = commands.map(str::to_owned).to_vec();
    assert_eq!(
        to_redis(&app),
        Traffic {
            commands,
            round_trips: 2,
            connections: 0
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_refunds_its_user_and_charges_its_address() {
    let (app, tokens) = warm(SharedState::Redis).await;
    app.api.logout(&tokens.access).await.ok(200);
    forget(&app);
    let ended = async || {
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
    };
    // This instance has just seen the session alive.
    ended().await;
    assert_redis(&app, &["EVALSHA", "GET", "GET", "EVALSHA", "EVALSHA"]);
    // Now it knows: the user is not charged at all.
    ended().await;
    assert_redis(&app, &["EVALSHA", "GET", "GET", "EVALSHA"]);
    assert_eq!(to_dynamodb(&app), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reads_share_one_connection() {
    let (app, tokens) = warm(SharedState::Redis).await;
    for answer in join_all((0..64).map(|_| app.api.info(&tokens.access))).await {
        answer.ok(200);
    }
    let traffic = to_redis(&app);
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
async fn a_warm_read_does_not_call_dynamodb(#[values(InProcess, Redis)] state: SharedState) {
    let (app, tokens) = warm(state).await;
    for _ in 0..10 {
        app.api.info(&tokens.access).await.ok(200);
    }
    assert_eq!(to_dynamodb(&app), [""; 0]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_is_one_transaction(#[values(InProcess, Redis)] state: SharedState) {
    let (app, _) = warm(state).await;
    app.log_in("bob").await;
    // Limit, breaker and claim together; whether the person is known; after the transaction the
    // claim's completion, which is a compare-and-set: only the owner completes a claim; with it, what
    // is left for the next login (the user, and the session), and whether the account was barred
    // meanwhile.
    if state == Redis {
        let Traffic {
            mut commands,
            round_trips,
            ..
        } = to_redis(&app);
        let mut last = commands.split_off(4);
        last.sort();
        assert_eq!(commands, ["EVALSHA", "EVALSHA", "EVALSHA", "GET"]);
        assert_eq!(last, ["EVALSHA", "EVALSHA", "GET", "PSETEX"]);
        assert!(round_trips <= 6, "{round_trips}");
    }
    assert_eq!(to_dynamodb(&app), ["UpdateItem", "TransactWriteItems"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_writes_all_at_once(#[values(InProcess, Redis)] state: SharedState) {
    let (app, _) = warm(state).await;
    app.log_in("alice").await;
    if state == Redis {
        let Traffic {
            commands,
            round_trips,
            ..
        } = to_redis(&app);
        let [before @ .., completion, barred] = &commands[..] else {
            panic!("no commands");
        };
        let (together, mut meanwhile) = before.split_at(3);
        // Limit, breaker, and the claim.
        assert_eq!(together, ["EVALSHA"; 3]);
        // Beside DynamoDB: the session's place, the profile, and the new session key's tag for the next
        // login.
        let mut sorted = meanwhile.to_vec();
        sorted.sort();
        meanwhile = &sorted;
        assert_eq!(meanwhile, ["EVALSHA", "GET", "PSETEX"]);
        // Together.
        assert_eq!([completion, barred], ["EVALSHA", "GET"]);
        assert!(round_trips <= 5, "{round_trips}");
    }
    let mut at_once = to_dynamodb(&app);
    at_once.sort();
    assert_eq!(at_once, ["PutItem", "UpdateItem"]);
}

/// The proxy lets neither through before the other one has had the time to arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_writes_of_a_returning_login_are_on_their_way_at_the_same_time() {
    let (app, _) = warm(Redis).await;
    app.log_in("alice").await;
    forget(&app);
    let slow = Fault::Latency(Duration::from_millis(500));
    app.proxies().dynamodb.set(slow).await;
    app.log_in("alice").await;
    let Traffic {
        mut commands,
        round_trips,
        ..
    } = app.proxies().dynamodb.take_traffic();
    commands.sort();
    assert_eq!(
        (commands, round_trips),
        (vec!["PutItem".to_owned(), "UpdateItem".to_owned()], 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_finds_out_who_returns_in_one_more_round_trip() {
    let (app, _) = warm(Redis).await;
    let other = app.another_instance().await;
    other.login(&app.code("bob")).await.ok(200);
    forget(&app);
    other.login(&app.code("alice")).await.ok(200);
    let commands = to_redis(&app).commands;
    assert_eq!(commands[..4], ["EVALSHA", "EVALSHA", "EVALSHA", "GET"]);
    let mut at_once = to_dynamodb(&app);
    at_once.sort();
    assert_eq!(at_once, ["PutItem", "UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_read_once_in_as_many_logins_as_there_may_be_sessions(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "4")
        .proxied()
        .start()
        .await;
    app.log_in("alice").await;
    forget(&app);
    let mut queries = Vec::new();
    for _ in 0..10 {
        app.log_in("alice").await;
        let counted = to_dynamodb(&app).iter().any(|name| name == "Query");
        queries.push(counted);
    }
    // After the first login three are free, and each later one knows whose place it takes. After four
    // logins they are read, whatever is known.
    let read = |index| [4, 9].contains(&index);
    assert_eq!(queries, (0..10).map(read).collect::<Vec<_>>());
    assert_eq!(app.count("SESSION#").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_was_denied_a_login_asks_redis_nothing_more() {
    let app = TestApp::builder(Redis)
        .set("RATE_LIMIT_LOGIN", "1/h burst 1")
        .proxied()
        .start()
        .await;
    app.log_in("alice").await;
    forget(&app);
    let denied = async || {
        let answer = app.api.login(&app.code("alice")).await;
        answer.fails(429, "rate_limited");
    };
    denied().await;
    // The claim that went out with the charge is given back, by a script that is new to the server.
    let charged = ["EVALSHA"; 4];
    assert_redis(&app, &[&charged[..], &["EVAL"]].concat());
    for _ in 0..3 {
        denied().await;
    }
    assert_eq!(to_redis(&app), Traffic::default());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_code_does_not_call_wechat(#[values(InProcess, Redis)] state: SharedState) {
    let (app, _) = warm(state).await;
    let code = app.code("alice");
    app.api.login(&code).await.ok(200);
    app.proxies().wechat.take_traffic();
    app.api.login(&code).await.ok(200);
    assert_eq!(app.proxies().wechat.take_traffic(), Traffic::default());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_is_one_conditional_update(#[values(InProcess, Redis)] state: SharedState) {
    let (app, tokens) = warm(state).await;
    app.api.refresh(&tokens.refresh).await.ok(200);
    // The user's role goes into the new token.
    assert_redis(&app, &["EVALSHA", "GET"]);
    assert_eq!(to_dynamodb(&app), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_one_update(#[values(InProcess, Redis)] state: SharedState) {
    let (app, tokens) = warm(state).await;
    app.api.logout(&tokens.access).await.ok(200);
    // Session and profile, in one round trip; the ended session, and what is known of the user's
    // sessions.
    assert_redis(&app, &["EVALSHA", "GET", "GET", "PSETEX", "DEL"]);
    assert_eq!(to_dynamodb(&app), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_one_update(#[values(InProcess, Redis)] state: SharedState) {
    let (app, tokens) = warm(state).await;
    app.api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    assert_redis(&app, &["EVALSHA", "GET", "GET", "DEL"]);
    assert_eq!(to_dynamodb(&app), ["UpdateItem"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_rejected_without_io_only_charges_its_limit(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let (app, tokens) = warm(state).await;
    app.api.info("x").await.fails(401, "token_invalid");
    app.api
        .info(&format!("{}x", tokens.access))
        .await
        .fails(401, "token_invalid");
    app.api.refresh("x").await.fails(401, "refresh_invalid");
    app.api.login("").await.fails_at(&["code"]);
    // The login also looks at the breaker.
    assert_redis(&app, &["EVALSHA"; 5]);
    app.api.request("GET", "/health").send().await.ok(200);
    app.api
        .request("GET", "/nowhere")
        .send()
        .await
        .fails(404, "not_found");
    assert_eq!(to_redis(&app), Traffic::default());
    assert_eq!(to_dynamodb(&app), [""; 0]);
}

/// What the store was asked for: methods, and the folders of the keys. In the order of their arrival,
/// which is not fixed for calls that are on their way at the same time.
fn to_store(app: &TestApp) -> Traffic {
    let mut traffic = app.proxies().objects.as_ref().unwrap().take_traffic();
    let short = |command: &String| {
        let (call, _) = command.rsplit_once('/').unwrap();
        call.replace("/s3/pictures/", "")
    };
    traffic.commands = traffic.commands.iter().map(short).collect();
    traffic
}

/// A form that was used; its calls are not counted.
async fn uploaded(app: &TestApp, tokens: &Tokens) -> String {
    let form = app
        .api
        .begin_avatar(&tokens.access, "image/png", PNG.len())
        .await;
    let form = form.ok(200);
    assert_eq!(post_form(form, PNG).await.status, 204);
    forget(app);
    to_store(app);
    form["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_for_an_avatar_is_one_write_and_no_call_to_the_store() {
    let (app, tokens) = warm_up(TestApp::builder(Redis).avatars()).await;
    let begun = app.api.begin_avatar(&tokens.access, "image/png", 10).await;
    begun.ok(200);
    assert_redis(&app, &["EVALSHA", "GET", "GET", "EVALSHA"]);
    assert_eq!(to_dynamodb(&app), ["PutItem"]);
    assert_eq!(to_store(&app).commands, [""; 0]);
}

/// What DynamoDB was asked for, sorted: some of it at the same time.
fn sorted(mut traffic: Traffic) -> Traffic {
    traffic.commands.sort();
    traffic
}

fn traffic(commands: &[&str], round_trips: usize) -> Traffic {
    Traffic {
        commands: commands.iter().map(|&name| name.to_owned()).collect(),
        round_trips,
        connections: 0,
    }
}

/// An app whose instances have connected to the store, and whose user has no avatar. DynamoDB is slow, so
/// that calls which don't wait for each other arrive before the first of them is answered.
async fn with_avatars(app: TestAppBuilder) -> (TestApp, Tokens) {
    let (app, tokens) = warm_up(app.avatars()).await;
    let key = uploaded(&app, &tokens).await;
    let confirmed = app.api.confirm_avatar(&tokens.access, &key).await;
    assert!(matches!(confirmed.status, 200 | 202), "{confirmed:?}");
    let clear = json!({"avatarUrl": null});
    app.api.change(&tokens.access, &clear).await.ok(200);
    app.api.info(&tokens.access).await.ok(200);
    let slow = Fault::Latency(Duration::from_millis(100));
    app.proxies().dynamodb.set(slow).await;
    (app, tokens)
}

/// Seven in all, one after the other: the upload is read beside its row, and the new profile beside what
/// is left to delete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_avatar_is_confirmed_in_seven_round_trips() {
    let (app, tokens) = with_avatars(TestApp::builder(Redis)).await;
    let key = uploaded(&app, &tokens).await;
    app.api.confirm_avatar(&tokens.access, &key).await.ok(200);
    assert_eq!(
        to_redis(&app),
        traffic(&["EVALSHA", "GET", "GET", "DEL"], 2)
    );
    assert_eq!(
        sorted(app.proxies().dynamodb.take_traffic()),
        traffic(
            &[
                "GetItem",
                "GetItem",
                "Query",
                "TransactWriteItems",
                "UpdateItem"
            ],
            4
        )
    );
    let store = to_store(&app);
    assert_eq!(
        store.commands,
        ["GET uploads", "PUT avatars", "DELETE uploads"]
    );
    assert_eq!(store.round_trips, 3);
}

/// Four more: whether it is still shown, its row, its objects, its row again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_avatar_is_replaced_in_eleven_round_trips() {
    let (app, tokens) = with_avatars(TestApp::builder(Redis)).await;
    let first = uploaded(&app, &tokens).await;
    app.api.confirm_avatar(&tokens.access, &first).await.ok(200);
    app.api.info(&tokens.access).await.ok(200);
    let key = uploaded(&app, &tokens).await;
    app.api.confirm_avatar(&tokens.access, &key).await.ok(200);
    assert_eq!(
        to_redis(&app),
        traffic(&["EVALSHA", "GET", "GET", "DEL"], 2)
    );
    let Traffic {
        commands,
        round_trips,
        ..
    } = sorted(app.proxies().dynamodb.take_traffic());
    let reads = ["GetItem", "GetItem", "GetItem", "Query"];
    let writes = ["TransactWriteItems", "UpdateItem", "UpdateItem"];
    assert_eq!(commands, [&["DeleteItem"], &reads[..], &writes].concat());
    assert!(round_trips <= 8, "{round_trips}");
    let mut commands = to_store(&app).commands;
    commands.sort();
    let deleted = ["DELETE avatars", "DELETE uploads", "DELETE uploads"];
    assert_eq!(
        commands,
        [&deleted[..], &["GET uploads", "PUT avatars"]].concat()
    );
    // Again: the row, and the profile, which the cache may not have heard of.
    app.api.info(&tokens.access).await.ok(200);
    forget(&app);
    app.api.confirm_avatar(&tokens.access, &key).await.ok(200);
    assert_eq!(to_redis(&app), traffic(&["EVALSHA", "GET", "GET"], 1));
    assert_eq!(to_dynamodb(&app), ["GetItem", "GetItem"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_check_is_one_read() {
    let app = TestApp::builder(Redis).set("CONTENT_CHECK", "on");
    let (app, tokens) = with_avatars(app).await;
    let key = uploaded(&app, &tokens).await;
    app.api.confirm_avatar(&tokens.access, &key).await.ok(202);
    assert_eq!(
        sorted(app.proxies().dynamodb.take_traffic()),
        traffic(
            &[
                "GetItem",
                "GetItem",
                "Query",
                "TransactWriteItems",
                "UpdateItem"
            ],
            4
        )
    );
    assert_eq!(to_store(&app).commands, ["GET uploads", "PUT checks"]);
    forget(&app);
    app.api.confirm_avatar(&tokens.access, &key).await.ok(202);
    assert_eq!(to_redis(&app), traffic(&["EVALSHA", "GET", "GET"], 1));
    assert_eq!(to_dynamodb(&app), ["GetItem"]);
    assert_eq!(to_store(&app).commands, [""; 0]);
}

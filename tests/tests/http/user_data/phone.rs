//! Binding the phone number from the phone button.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
    wire_proxy,
};
use futures_util::{future::join_all, join};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{Fault, UserChange};

use super::set_errcode;
use shared::{
    clock::Clock, ids::UserId, instance::Instance, random::Random, users::PhoneNumbers,
    values::Phone,
};

const PHONE_NUMBER: &str = "/wxa/business/getuserphonenumber";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const NUMBER: &str = "13900139000";

/// Sets the person's number.
fn has_number(app: &TestApp, person: &str, number: &str) {
    let change = UserChange {
        phone: Some(number.to_owned()),
        ..UserChange::default()
    };
    app.wechat.change_user(person, change).unwrap();
}

fn phone_code(app: &TestApp, person: &str) -> String {
    app.wechat.phone_code(person, Some(APP_ID)).unwrap()
}

/// The rows of numbers, each with its owner.
async fn owners(app: &TestApp) -> Vec<(String, String)> {
    let rows = app.rows().await.into_iter();
    let numbers = rows.filter(|((pk, _), _)| pk.starts_with("PHONE#"));
    numbers
        .map(|((pk, _), row)| (pk, row["uid"].as_s().unwrap().clone()))
        .collect()
}

async fn bind(app: &TestApp, person: &str, tokens: &Tokens) -> e2e::http::Answer {
    app.api
        .bind_phone(&tokens.access, &phone_code(app, person))
        .await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_bound_and_shown_to_its_owner(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    has_number(&app, "alice", NUMBER);
    app.clock.advance_seconds(1);
    let answer = bind(&app, "alice", &tokens).await;
    let user = answer.ok(200);
    assert_eq!(
        (&user["phone"], &user["version"], &user["id"]),
        (&json!(NUMBER), &json!(2), &json!(tokens.user_id()))
    );
    assert_eq!(user["updatedAt"], "2026-11-23T08:00:01.123Z");
    assert_eq!(app.api.info(&tokens.access).await.ok(200), user);
    // A later login returns it.
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["user"]["phone"], NUMBER);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_invalidates_the_cached_profile(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for number in ["13900139000", "13900139001", "13900139002"] {
        assert_ne!(app.api.info(&tokens.access).await.ok(200)["phone"], number);
        has_number(&app, "alice", number);
        bind(&app, "alice", &tokens).await.ok(200);
        assert_eq!(app.api.info(&tokens.access).await.ok(200)["phone"], number);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_country_code_may_be_a_number(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let change = UserChange {
        phone: Some(NUMBER.into()),
        numeric_country_code: Some(true),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    assert_eq!(bind(&app, "alice", &tokens).await.ok(200)["phone"], NUMBER);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_number_includes_its_country_code(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let change = UserChange {
        phone: Some("51234567".into()),
        country_code: Some(852),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    assert_eq!(
        bind(&app, "alice", &tokens).await.ok(200)["phone"],
        "+85251234567"
    );
    // An invalid mainland number is WeChat's error, and nothing is written.
    let change = UserChange {
        phone: Some("12345".into()),
        country_code: Some(86),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    bind(&app, "alice", &tokens)
        .await
        .fails(502, "upstream_error");
    assert_eq!(
        app.api.info(&tokens.access).await.ok(200)["phone"],
        "+85251234567"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_another_user_is_a_conflict(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    has_number(&app, "alice", NUMBER);
    has_number(&app, "bob", NUMBER);
    bind(&app, "alice", &alice).await.ok(200);
    let answer = bind(&app, "bob", &bob).await;
    answer.fails(409, "phone_taken");
    assert_eq!(answer.message(), "该手机号已绑定其他账号");
    let user = app.api.info(&bob.access).await;
    assert_eq!(
        (&user.ok(200)["phone"], &user.data()["version"]),
        (&Value::Null, &json!(1))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebinding_frees_the_previous_number(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    has_number(&app, "alice", NUMBER);
    bind(&app, "alice", &alice).await.ok(200);
    has_number(&app, "alice", "13900139001");
    assert_eq!(
        bind(&app, "alice", &alice).await.ok(200)["phone"],
        "13900139001"
    );
    assert_eq!(owners(&app).await.len(), 1);
    has_number(&app, "bob", NUMBER);
    bind(&app, "bob", &bob).await.ok(200);
    assert_eq!(owners(&app).await.len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_the_same_number_again_changes_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    bind(&app, "alice", &tokens).await.ok(200);
    let before = app.rows().await;
    app.clock.advance_seconds(5);
    assert_eq!(bind(&app, "alice", &tokens).await.ok(200)["version"], 2);
    assert_eq!(app.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_users_binding_one_number_concurrently_one_succeeds(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for round in 0..8 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let number = format!("1390013900{round}");
        let (alice, bob) = (app.log_in(&a).await, app.log_in(&b).await);
        has_number(&app, &a, &number);
        has_number(&app, &b, &number);
        let (first, second) = join!(bind(&app, &a, &alice), bind(&app, &b, &bob));
        let (won, lost) = if first.status == 200 {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!(won.ok(200)["phone"], number);
        lost.fails(409, "phone_taken");
        let owner = won.data()["id"].as_str().unwrap().to_owned();
        assert_eq!(
            owners(&app)
                .await
                .iter()
                .filter(|(_, uid)| *uid == owner)
                .count(),
            1
        );
    }
    assert_eq!(owners(&app).await.len(), 8);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_bindings_of_one_user_leave_a_consistent_profile(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(phone_code(&app, "alice"));
    }
    has_number(&app, "alice", NUMBER);
    let answers = join_all(
        codes
            .iter()
            .map(|code| app.api.bind_phone(&tokens.access, code)),
    )
    .await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    let user = app.api.info(&tokens.access).await;
    assert_eq!(
        (&user.ok(200)["phone"], &user.data()["version"]),
        (&json!(NUMBER), &json!(2))
    );
    assert_eq!(owners(&app).await.len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_profile_update_is_kept(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for round in 0..8 {
        has_number(&app, "alice", &format!("1390013900{round}"));
        let nickname = json!({"nickname": format!("round {round}")});
        let (bound, changed) = join!(
            bind(&app, "alice", &tokens),
            app.api.change(&tokens.access, &nickname)
        );
        bound.ok(200);
        changed.ok(200);
        let user = app.api.info(&tokens.access).await;
        assert_eq!(user.ok(200)["phone"], format!("1390013900{round}"));
        assert_eq!(user.data()["nickname"], nickname["nickname"]);
        assert_eq!(user.data()["version"], 3 + 2 * round);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_the_same_answer(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let code = phone_code(&app, "alice");
    let first = app.api.bind_phone(&tokens.access, &code).await;
    let second = app.api.bind_phone(&tokens.access, &code).await;
    assert_eq!(first.ok(200), second.ok(200));
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
    // But not for another user.
    let bob = app.log_in("bob").await;
    app.api
        .bind_phone(&bob.access, &code)
        .await
        .fails(400, "phone_code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_completes_a_failed_binding(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state).proxied().start().await;
    let tokens = app.log_in("alice").await;
    let code = phone_code(&app, "alice");
    // DynamoDB goes away between WeChat's answer and the write.
    let slow = Fault {
        path: Some(PHONE_NUMBER.into()),
        latency_ms: Some(700),
        ..Fault::default()
    };
    app.wechat.set_faults([slow]).unwrap();
    let cut = async {
        while app.wechat.calls(PHONE_NUMBER) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        app.proxies().dynamodb.set(wire_proxy::Fault::Refuse).await;
        app.proxies().dynamodb.reset();
    };
    let (answer, ()) = join!(app.api.bind_phone(&tokens.access, &code), cut);
    answer.fails(503, "unavailable");
    app.proxies().dynamodb.heal().await;
    assert!(app.api.bind_phone(&tokens.access, &code).await.ok(200)["phone"].is_string());
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_users_code_is_rejected_and_stays_valid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let code = phone_code(&app, "alice");
    app.api
        .bind_phone(&bob.access, &code)
        .await
        .fails(400, "phone_code_invalid");
    app.api.bind_phone(&alice.access, &code).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_phone_code_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api
        .bind_phone(&tokens.access, "never-given-out")
        .await
        .fails(400, "phone_code_invalid");
    // A code of wx.login is not a phone code.
    app.api
        .bind_phone(&tokens.access, &app.code("alice"))
        .await
        .fails(400, "phone_code_invalid");
    let elsewhere = app.wechat.phone_code("alice", Some(OTHER_APP_ID)).unwrap();
    app.api
        .bind_phone(&tokens.access, &elsewhere)
        .await
        .fails(400, "phone_code_invalid");
    let late = phone_code(&app, "alice");
    app.clock.advance_seconds(301);
    app.api
        .bind_phone(&tokens.access, &late)
        .await
        .fails(400, "phone_code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_code_never_reaches_wechat(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for bad in ["", "a b", "a\n", "码", &"x".repeat(257)] {
        app.api
            .bind_phone(&tokens.access, bad)
            .await
            .fails_at(&["code"]);
    }
    assert_eq!(
        (
            app.wechat.calls(PHONE_NUMBER),
            app.wechat.calls(STABLE_TOKEN)
        ),
        (0, 0)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_errcode_has_its_status_and_reason(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (40029, 400, "phone_code_invalid"),
        (40013, 400, "phone_code_invalid"),
        (45011, 429, "rate_limited"),
        (45009, 503, "unavailable"),
        (40164, 500, "internal"),
        (48001, 500, "internal"),
        (47001, 502, "upstream_error"),
    ] {
        set_errcode(&app, PHONE_NUMBER, errcode);
        let answer = bind(&app, "alice", &tokens).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, Some(reason)),
            "{errcode}"
        );
        assert_eq!(
            answer.header("retry-after"),
            (errcode == 45009)
                .then_some("3600")
                .or(answer.header("retry-after"))
        );
    }
    assert_eq!(
        app.api.info(&tokens.access).await.ok(200)["phone"],
        Value::Null
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_access_token_is_replaced_and_the_call_retried(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for errcode in [40001, 40014, 42001] {
        let once = Fault {
            path: Some(PHONE_NUMBER.into()),
            errcode: Some(errcode),
            times: Some(1),
            ..Fault::default()
        };
        app.wechat.set_faults([once]).unwrap();
        bind(&app, "alice", &tokens).await.ok(200);
    }
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 6);
    set_errcode(&app, PHONE_NUMBER, 40001);
    bind(&app, "alice", &tokens)
        .await
        .fails(502, "upstream_error");
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 8);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_not_stored_in_clear_in_keys(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    has_number(&app, "alice", NUMBER);
    bind(&app, "alice", &tokens).await.ok(200);
    let rows = app.rows().await;
    assert!(
        rows.keys()
            .all(|(pk, sk)| !pk.contains(NUMBER) && !sk.contains(NUMBER)),
        "{:?}",
        rows.keys()
    );
    let [(pk, owner)] = owners(&app).await.try_into().unwrap();
    assert_eq!(owner, tokens.user_id());
    let profile = &rows[&(format!("USER#{owner}"), "PROFILE".to_owned())];
    assert_eq!(profile["phoneClaim"].as_s().unwrap(), &pk);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_stays_unique_across_data_key_rotation(
    #[values(InProcess, Redis)] state: SharedState,
) {
    const NEW: &str = "k2:1f1d3c5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c";
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    has_number(&app, "alice", NUMBER);
    has_number(&app, "bob", NUMBER);
    bind(&app, "alice", &alice).await.ok(200);
    let [(old, _)] = owners(&app).await.try_into().unwrap();

    let both = format!("{NEW},{}", app.env().get("DATA_KEYS").unwrap());
    let rotated = app.another_instance_with(&[("DATA_KEYS", &both)]).await;
    rotated
        .bind_phone(&bob.access, &phone_code(&app, "bob"))
        .await
        .fails(409, "phone_taken");
    rotated
        .bind_phone(&alice.access, &phone_code(&app, "alice"))
        .await
        .ok(200);
    let [(new, owner)] = owners(&app).await.try_into().unwrap();
    assert_eq!(owner, alice.user_id());
    assert_ne!(new, old);
    rotated
        .bind_phone(&bob.access, &phone_code(&app, "bob"))
        .await
        .fails(409, "phone_taken");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_requires_a_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let code = phone_code(&app, "alice");
    let body = json!({"code": code});
    app.api
        .request("POST", "/api/v1/user/phone")
        .json(&body)
        .send()
        .await
        .fails(401, "token_missing");
    app.disable(&tokens.user_id()).await;
    app.api
        .bind_phone(&tokens.access, &code)
        .await
        .fails(403, "user_disabled");
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 0);
}

fn numbers(app: &TestApp, changes: &[(&str, &str)]) -> PhoneNumbers {
    let env = app.env_with(changes);
    let instance = Instance::new(env, Clock::Manual(app.clock.clone()), Random::System);
    let numbers = instance.phone_numbers();
    instance.env().validate().unwrap();
    numbers
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_bindings_of_one_user_at_once_are_all_carried_out(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let user = tokens.user_id().parse().unwrap();
    let numbers = numbers(&app, &[]);
    let phones: Vec<_> = (10..60)
        .map(|number| Phone::parse_international(&format!("139001390{number}")).unwrap())
        .collect();
    for bound in join_all(phones.iter().map(|phone| numbers.bind(user, phone))).await {
        bound.unwrap();
    }
    assert_eq!(owners(&app).await.len(), 1);
    let row = &app.rows().await[&(format!("USER#{user}"), "PROFILE".to_owned())];
    assert_eq!(row["version"].as_n().unwrap(), "51");
}

/// The generations of `DATA_KEYS` that are in use side by side during each step of a rotation.
fn rotation() -> [(String, String); 2] {
    let old = format!("k1:{}", e2e::settings::Settings::secrets()[3].1);
    let new = "k2:00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let steps = [old.clone(), format!("{old},{new}"), format!("{new},{old}")];
    [
        (steps[0].clone(), steps[1].clone()),
        (steps[1].clone(), steps[2].clone()),
    ]
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_never_bound_twice_while_data_keys_are_rotated_in_two_steps(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let [alice, bob] = [&alice, &bob].map(|tokens| tokens.user_id().parse().unwrap());
    let mut digit = 0;
    for (before, after) in rotation() {
        let generations = [&before, &after].map(|keys| numbers(&app, &[("DATA_KEYS", keys)]));
        for (first, second) in [(0, 1), (1, 0)] {
            for at_once in [false, true] {
                digit += 1;
                let phone = Phone::parse_international(&format!("1390013900{digit}")).unwrap();
                let one = generations[first].bind(alice, &phone);
                let two = generations[second].bind(bob, &phone);
                let (one, two) = if at_once {
                    join!(one, two)
                } else {
                    (one.await, two.await)
                };
                assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
            }
        }
    }
    // The last numbers of both.
    let owners = owners(&app).await;
    let of = |user: UserId| {
        owners
            .iter()
            .filter(|(_, uid)| *uid == user.to_string())
            .count()
    };
    assert!(of(alice) <= 1 && of(bob) <= 1, "{owners:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_releases_a_number_from_its_owner(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    has_number(&app, "alice", NUMBER);
    has_number(&app, "bob", NUMBER);
    bind(&app, "alice", &alice).await.ok(200);
    bind(&app, "bob", &bob).await.fails(409, "phone_taken");
    let written = capture();
    let release = || local::release_phone(app.env(), "+86 139-0013-9000\n");
    let released = release().await.unwrap();
    assert_eq!(released, [alice.user_id().parse().unwrap()]);
    if state == InProcess {
        // The command is another process.
        app.evict_profile(&alice.user_id()).await;
    }
    let user = app.api.info(&alice.access).await;
    assert_eq!(
        (&user.ok(200)["phone"], &user.data()["version"]),
        (&Value::Null, &json!(3))
    );
    // Once more: nothing happens.
    assert_eq!(release().await.unwrap(), []);
    bind(&app, "bob", &bob).await.ok(200);
    let audit = written.logs().json_where("audit", &"phone_released".into());
    let audit: Vec<_> = audit
        .iter()
        .filter(|line| line["user_id"] == alice.user_id())
        .collect();
    assert_eq!(audit.len(), 1);
    assert!(!format!("{audit:?}").contains(NUMBER));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releasing_an_invalid_number_changes_nothing_and_does_not_quote_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let error = local::release_phone(app.env(), "139001390001").await;
    assert!(!error.unwrap_err().contains("13900"));
}

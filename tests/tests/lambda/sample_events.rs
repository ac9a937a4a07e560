//! The files of `events/`, each sent to its function.

use std::{collections::BTreeSet, fs};

use e2e::{
    binaries::workspace,
    events::{load, names},
    http::Answer,
};
use serde_json::{Value, json};

use crate::{
    authorizer::QUESTIONS,
    harness::{LambdaHarness, functions, push_sample},
};

/// The table of events/README.md: function, file, status, reason.
const EVENTS: &[(&str, &str, u16, Option<&str>)] = &[
    ("health", "health", 200, None),
    ("health", "deep", 200, None),
    ("health", "not-found", 404, Some("not_found")),
    ("login", "login", 200, None),
    ("login", "invalid-body", 400, Some("invalid_request")),
    ("login", "base64-body", 400, Some("code_invalid")),
    ("login", "rest-v1", 200, None),
    ("login", "with-phone", 200, None),
    ("login", "resolve-phone", 409, Some("ticket_invalid")),
    ("token", "refresh", 200, None),
    ("token", "logout", 200, None),
    ("token", "sessions", 200, None),
    ("token", "sessions-named-stage", 200, None),
    ("token", "delete-session", 200, None),
    ("token", "jwks", 200, None),
    ("token", "crypto-key", 200, None),
    ("user-data", "decrypt", 200, None),
    ("user-data", "decrypt-checked", 200, None),
    (
        "user-data",
        "decrypt-not-base64",
        400,
        Some("decrypt_failed"),
    ),
    ("user-data", "phone", 200, None),
    (
        "user-data",
        "phone-login-code",
        400,
        Some("phone_code_invalid"),
    ),
    ("user-data", "message", 200, None),
    ("user-data", "reset-session-key", 200, None),
    ("user-data", "code", 200, None),
    ("user-data", "url-link", 200, None),
    ("user-info", "get", 200, None),
    ("user-info", "update", 200, None),
    ("user-info", "function-url", 200, None),
    ("avatar", "begin", 200, None),
    ("avatar", "confirm", 404, Some("not_found")),
    ("users", "list", 200, None),
    ("users", "search", 200, None),
    ("users", "move-in", 200, None),
    ("users", "get", 200, None),
    ("users", "update", 200, None),
    ("users", "activity", 200, None),
    ("users", "end-sessions", 200, None),
    ("users", "delete", 200, None),
    ("users", "batch-delete", 200, None),
    ("users", "sagas", 200, None),
    ("users", "resume-saga", 404, Some("not_found")),
    ("users", "webhook-failures", 200, None),
    ("users", "redeliver-webhook", 404, Some("not_found")),
    ("users", "send-message", 501, Some("not_configured")),
    ("users", "messages", 200, None),
    ("users", "message", 404, Some("not_found")),
    ("account", "consents", 200, None),
    ("account", "agree", 200, None),
    ("account", "withdraw", 200, None),
    ("account", "subscriptions", 200, None),
    ("account", "record-subscriptions", 200, None),
    ("account", "activity", 200, None),
    ("account", "export", 200, None),
    ("account", "delete", 200, None),
    ("config", "put", 200, None),
    ("config", "list", 200, None),
    ("config", "get", 200, None),
    ("config", "delete", 200, None),
    ("config", "invalid-key", 400, Some("invalid_request")),
];

/// The same for pushes, which are not answered in the envelope.
const PUSHES: [(&str, &str); 4] = [
    ("verify", "4375120948345356249"),
    ("plain-json", "success"),
    ("secure-json", "success"),
    ("secure-xml", "success"),
];

/// Those of functions that API Gateway does not call, with what they answer.
const TASKS: [(&str, &str, &str); 6] = [
    ("worker", "changes", r#"{"batchItemFailures":[]}"#),
    (
        "worker",
        "resume-sagas",
        r#"{"ended":0,"failed":0,"unfinished":0}"#,
    ),
    ("webhooks", "messages", r#"{"batchItemFailures":[]}"#),
    (
        "webhooks",
        "retry-webhooks",
        r#"{"delivered":0,"failed":0,"given_up":0,"retried":0}"#,
    ),
    ("messages", "messages", r#"{"batchItemFailures":[]}"#),
    (
        "messages",
        "send-messages",
        r#"{"failed":0,"not_stored":0,"refused":0,"sent":0,"unconfirmed":0,"unreadable":0,"waiting":0}"#,
    ),
];

#[test]
fn every_sample_event_is_tested() {
    let pushes = PUSHES.iter().map(|(name, _)| ("callback", *name));
    let questions = QUESTIONS.map(|name| ("authorizer", name));
    let tasks = TASKS.iter().map(|(function, name, _)| (*function, *name));
    let known = EVENTS
        .iter()
        .map(|(function, name, ..)| (*function, *name))
        .chain(pushes)
        .chain(questions)
        .chain(tasks);
    let known: BTreeSet<_> = known
        .map(|(function, name)| (function.to_owned(), name.to_owned()))
        .collect();
    let folders = fs::read_dir(workspace().join("events"))
        .unwrap()
        .map(|entry| entry.unwrap());
    let functions = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap());
    let found = functions.flat_map(|function| {
        names(&function)
            .into_iter()
            .map(move |name| (function.clone(), name))
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_event_gets_its_answer_and_keeps_its_request_id() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    for function_name in functions() {
        let function = harness.function(&function_name);
        for (_, name, status, reason) in EVENTS
            .iter()
            .filter(|(function, ..)| *function == function_name)
        {
            if *name == "jwks" {
                // The one answer without an envelope has its own test.
                continue;
            }
            let (event, _) = harness.sample(&login, &function_name, name).await;
            let answer = Answer::from_lambda(&function.invoke(&event).await);
            assert_eq!(
                (answer.status, answer.reason()),
                (*status, *reason),
                "{function_name}/{name}: {answer:?}"
            );
            assert_eq!(
                answer.header("x-request-id"),
                event["requestContext"]["requestId"].as_str(),
                "{name}"
            );
        }
        function.logs().assert_all_json();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_event_of_a_stream_a_schedule_or_a_queue_gets_its_answer() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    for (name, event, wanted) in TASKS {
        let function = harness.function(name);
        let (event, _) = harness.sample(&login, name, event).await;
        let answer = function.invoke(&event).await.to_string();
        assert_eq!(answer, wanted, "{name}");
        function.logs().assert_all_json();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_push_gets_the_expected_text() {
    let harness = LambdaHarness::start().await;
    let callback = harness.function("callback");
    for (name, body) in PUSHES {
        let event = push_sample(&harness, name);
        let response = callback.invoke(&event).await;
        assert_eq!(
            (&response["statusCode"], &response["body"]),
            (&json!(200), &json!(body)),
            "{name}: {response}"
        );
        assert_eq!(
            response["headers"]["content-type"], "text/plain; charset=utf-8",
            "{name}"
        );
        assert_eq!(
            response["headers"]["x-request-id"], event["requestContext"]["requestId"],
            "{name}"
        );
    }
    callback.logs().assert_all_json();
}

/// API Gateway encodes bodies whose type it does not take for text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_in_base64_or_with_another_content_type_is_accepted() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let harness = LambdaHarness::start().await;
    let callback = harness.function("callback");
    for (name, content_type) in [
        ("secure-xml", "application/octet-stream"),
        ("secure-json", "text/plain"),
    ] {
        let mut event = push_sample(&harness, name);
        event["body"] = BASE64_STANDARD
            .encode(event["body"].as_str().unwrap())
            .into();
        event["isBase64Encoded"] = true.into();
        event["headers"]["content-type"] = content_type.into();
        assert_eq!(callback.invoke(&event).await["body"], "success", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_push_is_rejected_in_the_envelope() {
    let harness = LambdaHarness::start().await;
    let mut event = push_sample(&harness, "secure-json");
    event["body"] = r#"{"Encrypt":"AAAA"}"#.into();
    Answer::from_lambda(&harness.function("callback").invoke(&event).await)
        .fails(400, "decrypt_failed");
}

/// One function of the harness, and its answer to a sample event.
async fn answer_to(function: &str, name: &str) -> (Value, e2e::test_app::Tokens) {
    let harness = LambdaHarness::start().await;
    let (event, tokens) = harness
        .sample(&harness.function("login"), function, name)
        .await;
    (harness.function(function).invoke(&event).await, tokens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_api_gets_single_headers() {
    let (response, _) = answer_to("health", "health").await;
    let body = response["body"].as_str().unwrap();
    let headers = json!({
        "content-type": "application/json",
        "content-length": body.len().to_string(),
        "cache-control": "no-store",
        "x-request-id": "JKJaX01mPvHcESHA=",
    });
    let shape = json!({
        "statusCode": 200, "headers": headers, "multiValueHeaders": {}, "cookies": [], "isBase64Encoded": false,
        "body": body,
    });
    assert_eq!(response, shape);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_api_gets_lists_of_headers() {
    let (response, _) = answer_to("login", "rest-v1").await;
    let body = response["body"].as_str().unwrap();
    let headers = json!({
        "content-type": ["application/json"],
        "content-length": [body.len().to_string()],
        "cache-control": ["no-store"],
        "ratelimit": [r#""login";r=999999;t=1"#],
        "ratelimit-policy": [r#""login";q=1000000;w=1"#],
        "x-request-id": ["0b1e7c52-3f7d-4a0e-9a55-6f1f0d2c4b8e"],
    });
    let shape = json!({
        "statusCode": 200, "headers": {}, "multiValueHeaders": headers, "isBase64Encoded": false, "body": body,
    });
    assert_eq!(response, shape);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_url_gets_the_profile() {
    let (response, tokens) = answer_to("user-info", "function-url").await;
    assert_eq!(
        Answer::from_lambda(&response).ok(200)["id"],
        tokens.user_id()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_stage_is_not_part_of_the_route() {
    let (response, tokens) = answer_to("token", "sessions-named-stage").await;
    let answer = Answer::from_lambda(&response);
    let sessions = answer.ok(200)["sessions"].as_array().unwrap();
    let current: Vec<_> = sessions
        .iter()
        .filter(|session| session["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["id"], tokens.session_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_returns_the_changed_profile() {
    let (response, _) = answer_to("user-info", "update").await;
    assert_eq!(Answer::from_lambda(&response).ok(200)["nickname"], "小明");
}

/// The functions share the table and Redis, so each sees what another one wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_is_seen_by_logins_profiles_and_exports() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let (agree, tokens) = harness.sample(&login, "account", "agree").await;
    let account = harness.function("account");
    let terms = json!([{"document": "terms", "version": 2}]);
    let agreed = Answer::from_lambda(&account.invoke(&agree).await);
    assert_eq!(agreed.ok(200)["consents"], json!({"privacy": 3}));
    assert_eq!(agreed.data()["consentsMissing"], terms);
    let (event, _) = harness.sample(&login, "user-info", "get").await;
    let user_info = harness.function("user-info");
    let info = Answer::from_lambda(&user_info.invoke(&event).await);
    assert_eq!(info.ok(200)["consentsMissing"], terms);
    let (event, _) = harness.sample(&login, "account", "export").await;
    let export = Answer::from_lambda(&account.invoke(&event).await);
    assert_eq!(export.ok(200)["user"]["id"], tokens.user_id());
    assert_eq!(export.data()["consents"][0]["document"], "privacy");
    let disposition = "attachment; filename=\"export.json\"";
    assert_eq!(export.header("content-disposition"), Some(disposition));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_lists_moves_in_and_changes_users() {
    let (list, administrator) = answer_to("users", "list").await;
    let list = Answer::from_lambda(&list);
    let ids: Vec<_> = list.ok(200)["users"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 2, "{list:?}");
    assert_eq!(ids[1]["id"], administrator.user_id());
    assert_eq!(list.data()["cursor"], Value::Null);

    let (moved_in, _) = answer_to("users", "move-in").await;
    let moved_in = Answer::from_lambda(&moved_in);
    assert_eq!(moved_in.ok(200)["nickname"], "小红");
    assert_eq!(moved_in.header("etag"), Some("\"1\""));

    let (updated, _) = answer_to("users", "update").await;
    let updated = Answer::from_lambda(&updated);
    assert_eq!(updated.ok(200)["nickname"], "小明");
    assert_eq!(updated.header("etag"), Some("\"2\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_the_role_gets_no_answer_to_an_event_of_administrators() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let (event, administrator) = harness.sample(&login, "users", "list").await;
    let users = harness.function("users");
    Answer::from_lambda(&users.invoke(&event).await).ok(200);
    // The same token, once the role is gone: nothing of it is cached.
    harness.set_role(&administrator.user_id(), "user").await;
    Answer::from_lambda(&users.invoke(&event).await).fails(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_set_is_plain_jwks() {
    let (response, _) = answer_to("token", "jwks").await;
    let headers = json!({
        "content-type": "application/jwk-set+json",
        "content-length": "11",
        "cache-control": "public, max-age=600",
        "x-request-id": "JKJaX01mPvHcEjw=",
    });
    // With HS256 alone there are no public keys.
    let shape = json!({
        "statusCode": 200, "headers": headers, "multiValueHeaders": {}, "cookies": [], "isBase64Encoded": false,
        "body": r#"{"keys":[]}"#,
    });
    assert_eq!(response, shape);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decrypted_data_is_returned() {
    let (profile, _) = answer_to("user-data", "decrypt").await;
    assert_eq!(
        Answer::from_lambda(&profile).ok(200)["nickName"],
        "微信用户"
    );
    let (message, _) = answer_to("user-data", "message").await;
    assert_eq!(*Answer::from_lambda(&message).ok(200), json!({"order": 7}));
    let (login, _) = answer_to("login", "with-phone").await;
    let login = Answer::from_lambda(&login);
    assert_eq!(login.ok(200)["phone"], json!({"status": "bound"}));
    let (phone, tokens) = answer_to("user-data", "phone").await;
    let phone = Answer::from_lambda(&phone);
    assert_eq!(phone.ok(200)["id"], tokens.user_id());
    assert!(
        phone.data()["phone"].as_str().unwrap().starts_with("138"),
        "{phone:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failures_message_follows_accept_language() {
    let (english, _) = answer_to("health", "not-found").await;
    assert_eq!(Answer::from_lambda(&english).message(), "Not found");
    let (chinese, _) = answer_to("login", "base64-body").await;
    assert_eq!(
        Answer::from_lambda(&chinese).message(),
        "登录凭证无效或已过期，请重新调用 wx.login"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_health_check_names_each_part() {
    let (response, _) = answer_to("health", "deep").await;
    let answer = Answer::from_lambda(&response);
    let parts = answer.ok(200)["parts"].as_array().unwrap();
    let states: Vec<_> = parts
        .iter()
        .map(|part| {
            (
                part["name"].as_str().unwrap(),
                part["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("redis", "ok"), ("dynamodb", "ok")]);
}

#[test]
fn the_sample_base64_body_matches_its_headers() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let event = load("login", "base64-body", &[]);
    let body = BASE64_STANDARD
        .decode(event["body"].as_str().unwrap())
        .unwrap();
    assert_eq!(event["headers"]["content-length"], body.len().to_string());
    assert!(serde_json::from_slice::<Value>(&body).unwrap()["code"].is_string());
}

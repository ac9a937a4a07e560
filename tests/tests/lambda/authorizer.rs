//! The authorizer: its answers in each form, who is let in, and what a function behind it is told.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    binaries,
    dynamodb::TABLE,
    events::{HttpApi, load},
    runtime_api::{FunctionUnderTest, Reply},
    settings::{APP_ID, Settings},
    test_app::Tokens,
    wire_proxy::Fault,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{
    auth::{Session, Tokens as TokenKeys},
    clock::{Clock, ManualClock},
    config::Env,
    users::Role,
};

use crate::harness::{LambdaHarness, answer, logout_event};

/// The events of `events/authorizer`.
pub const QUESTIONS: [&str; 4] = ["http-api", "http-api-v1", "rest-request", "rest-token"];

/// The stages of the APIs that send them.
const HTTP_STAGE: &str = "arn:aws:execute-api:ap-southeast-1:123456789012:m4n5o6p7q8/$default/*";
const REST_STAGE: &str = "arn:aws:execute-api:ap-southeast-1:123456789012:z9y8x7w6v5/prod/*";

/// What API Gateway makes of an answer.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It calls the function, with this context.
    Allowed(Value),
    /// 403.
    Denied,
    /// 401.
    Unauthorized,
    /// 500.
    Failed,
}

/// The event with this token.
fn question(name: &str, token: &str) -> Value {
    load("authorizer", name, &[("accessToken", token)])
}

/// Asks as API Gateway does.
async fn ask(authorizer: &FunctionUnderTest, event: &Value) -> Outcome {
    let reply = authorizer.measure(event.to_string().as_bytes()).await.reply;
    match reply {
        Reply::Error(body) => {
            let error: Value = serde_json::from_slice(&body).unwrap();
            match error["errorMessage"].as_str().unwrap() {
                "Unauthorized" => Outcome::Unauthorized,
                _ => Outcome::Failed,
            }
        }
        Reply::Response(body) => outcome(event, &serde_json::from_slice(&body).unwrap()),
    }
}

/// An answer of the form that belongs to the event.
fn outcome(event: &Value, answer: &Value) -> Outcome {
    let context = || answer["context"].clone();
    if event["version"] == "2.0" {
        let is_allowed = answer["isAuthorized"].as_bool().unwrap();
        return if is_allowed {
            Outcome::Allowed(context())
        } else {
            Outcome::Denied
        };
    }
    let stage = if event["version"] == "1.0" {
        HTTP_STAGE
    } else {
        REST_STAGE
    };
    let statement = &answer["policyDocument"]["Statement"][0];
    assert_eq!(answer["policyDocument"]["Version"], "2012-10-17");
    assert_eq!(statement["Action"], "execute-api:Invoke");
    assert_eq!(statement["Resource"], stage, "{answer}");
    match statement["Effect"].as_str().unwrap() {
        "Allow" => {
            assert_eq!(answer["principalId"], context()["userId"]);
            Outcome::Allowed(context())
        }
        "Deny" => Outcome::Denied,
        other => panic!("{other}"),
    }
}

async fn ask_with(authorizer: &FunctionUnderTest, token: &str) -> Outcome {
    ask(authorizer, &question("http-api", token)).await
}

fn allowed(tokens: &Tokens) -> Outcome {
    Outcome::Allowed(json!({
        "userId": tokens.user_id(),
        "appId": APP_ID,
        "role": "user",
        "sessionId": tokens.session_id(),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_question_is_answered_in_its_form() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    for name in QUESTIONS {
        let event = question(name, &tokens.access);
        assert_eq!(ask(&authorizer, &event).await, allowed(&tokens), "{name}");
        let forged = question(name, "forged");
        assert_eq!(ask(&authorizer, &forged).await, Outcome::Unauthorized);
    }
    authorizer.logs().assert_all_json();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_line_has_api_gateways_request_id_and_no_token() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    for token in [&*tokens.access, "hunter2", "Bearer hunter2"] {
        for name in QUESTIONS {
            ask(&authorizer, &question(name, token)).await;
        }
    }
    // Events that are none of its own.
    for nonsense in [
        "",
        "null",
        "{}",
        r#"{"type":"TOKEN","authorizationToken":"hunter2"}"#,
    ] {
        let answer = authorizer.measure(nonsense.as_bytes()).await;
        assert!(matches!(answer.reply, Reply::Error(_)), "{nonsense}");
    }
    let event = question("rest-request", &tokens.access);
    let id = event["requestContext"]["requestId"].as_str().unwrap();
    let line = authorizer.process().wait_for_line(id).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["route"], "/authorize", "{line}");
    let logs = authorizer.logs();
    logs.assert_all_json();
    let own = [("an access token", &*tokens.access), ("a token", "hunter2")];
    logs.assert_without_secrets(Settings::secrets().into_iter().chain(own));
}

/// Tokens of a session as it was three hours ago, by the keys of these settings.
fn expired(settings: &Settings, tokens: &Tokens) -> String {
    let clock = ManualClock::new(Clock::System.now());
    clock.advance_seconds(-3 * 60 * 60);
    let clock = Clock::Manual(clock);
    let session = Session {
        id: tokens.session_id().parse().unwrap(),
        user: tokens.user_id().parse().unwrap(),
        app_id: APP_ID.parse().unwrap(),
        open_id: None,
        counter: 0,
        created_at: clock.now(),
        refreshed_at: clock.now(),
        revoked_at: None,
        ended_by: None,
        ended_by_id: None,
        user_agent: None,
        ttl: i64::MAX,
    };
    let keys = TokenKeys::new(&Env::new(settings.variables().iter().cloned()), clock);
    let pair = keys.issue(&session, Role::User).unwrap();
    pair.access.expose_secret().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_foreign_or_expired_token_is_unauthorized() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    let mut missing = question("http-api", "");
    missing["headers"]
        .as_object_mut()
        .unwrap()
        .remove("authorization");
    missing["identitySource"] = Value::Null;
    assert_eq!(ask(&authorizer, &missing).await, Outcome::Unauthorized);
    let foreign = harness
        .settings
        .clone()
        .with("JWT_SECRETS", "a-secret-of-somebody-else-k3f9s0d8f7a6h5j4");
    let other_scheme = question("http-api", &tokens.access);
    let other_scheme = other_scheme.to_string().replace("Bearer", "Basic");
    let other_scheme: Value = serde_json::from_str(&other_scheme).unwrap();
    assert_eq!(ask(&authorizer, &other_scheme).await, Outcome::Unauthorized);
    for token in [
        expired(&harness.settings, &tokens),
        expired(&foreign, &tokens),
        tokens.refresh.clone(),
        format!("{}x", tokens.access),
    ] {
        let outcome = ask_with(&authorizer, &token).await;
        assert_eq!(outcome, Outcome::Unauthorized, "{token}");
    }
    let reasons: Vec<_> = authorizer.logs().json_where("message", &"request".into());
    assert!(reasons.iter().any(|line| line["reason"] == "token_expired"));
    assert_eq!(
        ask_with(&authorizer, &tokens.access).await,
        allowed(&tokens)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_and_an_account_that_is_deleted_are_unauthorized() {
    let harness = LambdaHarness::start().await;
    let (login, token) = (harness.function("login"), harness.function("token"));
    let authorizer = harness.function("authorizer");
    let [ended, kept, deleted] = [
        harness.log_in(&login, "alice").await,
        harness.log_in(&login, "alice").await,
        harness.log_in(&login, "bob").await,
    ];
    for tokens in [&ended, &kept, &deleted] {
        assert_eq!(ask_with(&authorizer, &tokens.access).await, allowed(tokens));
    }
    answer(&token, &logout_event(&ended)).await.ok(200);
    let delete = HttpApi::new("DELETE", "/api/v1/user").bearer(&deleted.access);
    let account = harness.function("account");
    answer(&account, &delete.event()).await.ok(200);
    for tokens in [&ended, &deleted] {
        let outcome = ask_with(&authorizer, &tokens.access).await;
        assert_eq!(outcome, Outcome::Unauthorized);
    }
    assert_eq!(ask_with(&authorizer, &kept.access).await, allowed(&kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_denied_and_a_changed_role_is_passed_on() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    harness.set_role(&tokens.user_id(), "admin").await;
    harness.redis.flushall().await;
    let Outcome::Allowed(context) = ask_with(&authorizer, &tokens.access).await else {
        panic!("an administrator is let in")
    };
    // The token still says `user`.
    assert_eq!(
        (&context["role"], &tokens.claims()["role"]),
        (&json!("admin"), &json!("user"))
    );
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = harness.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&format!("USER#{}", tokens.user_id())))
        .key("sk", text("PROFILE"))
        .update_expression("SET #status = :status")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":status", text("disabled"));
    update.send().await.unwrap();
    harness.redis.flushall().await;
    for name in QUESTIONS {
        let event = question(name, &tokens.access);
        assert_eq!(ask(&authorizer, &event).await, Outcome::Denied, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_store_may_fail_and_without_both_nobody_is_told_anything() {
    let mut harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    assert_eq!(
        ask_with(&authorizer, &tokens.access).await,
        allowed(&tokens)
    );
    // What is cached is enough.
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    assert_eq!(
        ask_with(&authorizer, &tokens.access).await,
        allowed(&tokens)
    );
    harness.redis.flushall().await;
    assert_eq!(ask_with(&authorizer, &tokens.access).await, Outcome::Failed);
    // A token that needs no store to be refused.
    assert_eq!(ask_with(&authorizer, "forged").await, Outcome::Unauthorized);
    harness.dynamodb_proxy.heal().await;
    harness.redis.kill();
    assert_eq!(
        ask_with(&authorizer, &tokens.access).await,
        allowed(&tokens)
    );
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    assert_eq!(ask_with(&authorizer, &tokens.access).await, Outcome::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_charged_to_no_rate_limit() {
    let mut harness = LambdaHarness::start().await;
    for name in ["RATE_LIMIT_USER", "RATE_LIMIT_GUEST"] {
        harness.settings = harness.settings.with(name, "1/min burst 1");
    }
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    for _ in 0..5 {
        assert_eq!(
            ask_with(&authorizer, &tokens.access).await,
            allowed(&tokens)
        );
        assert_eq!(ask_with(&authorizer, "forged").await, Outcome::Unauthorized);
    }
    // The charge of the user is all there for this API's own routes.
    let user_info = harness.function("user-info");
    let info = HttpApi::new("GET", "/api/v1/user/info").bearer(&tokens.access);
    answer(&user_info, &info.event()).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_where_the_answer_is_cached_by_something_else() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let authorizer = harness.function("authorizer");
    let mut event = question("http-api", &tokens.access);
    event["identitySource"] = json!(["203.0.113.24"]);
    assert_eq!(ask(&authorizer, &event).await, Outcome::Unauthorized);
    authorizer.process().wait_for_line("identity source").await;
}

/// The example's own handler, run by Python with this event.
fn example(event: &Value) -> Value {
    let root = binaries::workspace();
    let program = "import json, sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True; \
                   import app; print(json.dumps(app.handler(json.load(sys.stdin), None)))";
    let mut python = Command::new(root.join(".tools/venv/bin/python"))
        .args(["-c", program, "examples/protected-function/src"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(event.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The example's function behind the authorizer, as API Gateway connects them: what the client gets.
async fn protected(authorizer: &FunctionUnderTest, path: &str, token: &str) -> (u64, Value) {
    let route = format!("GET {path}");
    let mut event = question("http-api", token);
    event["routeKey"] = route.clone().into();
    event["requestContext"]["routeKey"] = route.into();
    match ask(authorizer, &event).await {
        Outcome::Allowed(context) => {
            // What only the authorizer is sent.
            for name in ["type", "routeArn", "identitySource"] {
                event.as_object_mut().unwrap().remove(name);
            }
            event["requestContext"]["authorizer"] = json!({"lambda": context});
            let response = example(&event);
            let body = response["body"].as_str().unwrap();
            let status = response["statusCode"].as_u64().unwrap();
            (status, serde_json::from_str(body).unwrap())
        }
        Outcome::Denied => (403, json!({"message": "Forbidden"})),
        Outcome::Unauthorized => (401, json!({"message": "Unauthorized"})),
        Outcome::Failed => (500, json!({"message": "Internal Server Error"})),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_of_the_example_is_told_who_calls_and_called_by_nobody_else() {
    let harness = LambdaHarness::start().await;
    let (login, token) = (harness.function("login"), harness.function("token"));
    let tokens = harness.log_in(&login, "alice").await;
    let authorizer = harness.function("authorizer");
    let (status, body) = protected(&authorizer, "/hello", &tokens.access).await;
    let Outcome::Allowed(caller) = allowed(&tokens) else {
        unreachable!()
    };
    assert_eq!((status, &body["data"]), (200, &caller), "{body}");
    let (status, body) = protected(&authorizer, "/admin/hello", &tokens.access).await;
    assert_eq!((status, &body["reason"]), (403, &json!("forbidden")));
    harness.set_role(&tokens.user_id(), "admin").await;
    harness.redis.flushall().await;
    let (status, body) = protected(&authorizer, "/admin/hello", &tokens.access).await;
    assert_eq!((status, &body["data"]["role"]), (200, &json!("admin")));
    answer(&token, &logout_event(&tokens)).await.ok(200);
    for path in ["/hello", "/admin/hello"] {
        let (status, _) = protected(&authorizer, path, &tokens.access).await;
        assert_eq!(status, 401, "{path}");
    }
    assert_eq!(protected(&authorizer, "/hello", "forged").await.0, 401);
}

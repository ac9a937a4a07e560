//! Secrets in Parameter Store and Secrets Manager, as a function's binary fetches them on Lambda.

use std::time::Duration;

use e2e::{
    binaries,
    events::{HttpApi, load},
    runtime_api::{FunctionUnderTest, Refusal},
    secrets_extension::{Fault, SecretsExtension},
    settings::Settings,
    test_app::Tokens,
};
use futures_util::future::join;
use secrecy::ExposeSecret;
use serde_json::Value;
use shared::crypto::{KeyKind, KeyPair};

use crate::harness::{LambdaHarness, answer, info_event, login_event, refresh_event};

const PORT: &str = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT";
const KEPT: [&str; 4] = ["JWT_SECRETS", "DATA_KEYS", "WECHAT_SECRETS", "REDIS_URL"];

/// A harness whose secrets are references, and the extension that resolves them.
async fn kept_elsewhere() -> (LambdaHarness, SecretsExtension) {
    let (mut harness, extension) = (
        LambdaHarness::start().await,
        SecretsExtension::start().await,
    );
    harness.settings = harness.settings.with(PORT, &extension.port.to_string());
    for name in KEPT {
        let value = |settings: &Settings| {
            settings
                .variables()
                .iter()
                .find(|(n, _)| n == name)
                .unwrap()
                .1
                .clone()
        };
        let value = value(&harness.settings);
        // Half of them are secrets, half are parameters; a value stored from a file ends with a
        // line feed.
        let reference = if name.contains("SECRETS") {
            extension.put_secret(name, &format!("{value}\n"));
            format!("secretsmanager:{name}")
        } else {
            extension.put_parameter(&format!("/weapp/{name}"), &format!("{value}\n"));
            format!("ssm:/weapp/{name}")
        };
        harness.settings = harness.settings.with(name, &reference);
    }
    (harness, extension)
}

fn start(name: &str, settings: &Settings) -> FunctionUnderTest {
    FunctionUnderTest::spawn(binaries::path(name), settings.variables())
}

async fn refusal(name: &str, settings: &Settings) -> (String, Refusal) {
    let refusal = start(name, settings).wait_exit().await;
    let lines = refusal.logs.json_where("message", &"start refused".into());
    assert_eq!(
        (refusal.code, lines.len()),
        (Some(1), 1),
        "{}",
        refusal.logs
    );
    (lines[0]["why"].as_str().unwrap().to_owned(), refusal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_secrets_are_fetched_at_once_before_the_first_event() {
    let (harness, extension) = kept_elsewhere().await;
    extension.set_fault(Fault::Slow(Duration::from_millis(500)));
    let login = harness.function("login");
    login.time_to_first_next().await;
    assert_eq!(
        (extension.calls().total, extension.calls().at_once),
        (KEPT.len(), KEPT.len())
    );
    let tokens = harness.log_in(&login, "alice").await;
    answer(&harness.function("user-info"), &info_event(&tokens))
        .await
        .ok(200);
    answer(&harness.function("token"), &refresh_event(&tokens.refresh))
        .await
        .ok(200);
    login.logs().assert_without_secrets(Settings::secrets());
    assert_eq!(
        login.logs().json_where("degraded", &true.into()),
        [Value::Null; 0],
        "Redis is the one of the reference"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_becomes_ready_late_delays_the_first_event() {
    let (harness, extension) = kept_elsewhere().await;
    extension.set_fault(Fault::NotReady);
    let login = harness.function("login");
    // The function still asks for its first event.
    login.time_to_first_next().await;
    let asked = extension.calls().total;
    assert!(asked >= KEPT.len());
    let event = login_event(&harness.code("alice"));
    let ready = async {
        extension.asked_again(asked).await;
        extension.set_fault(Fault::None);
    };
    let (first, ()) = join(answer(&login, &event), ready).await;
    let tokens = Tokens::of(&first);
    let asked = extension.calls().total;
    answer(&login, &login_event(&harness.code("bob")))
        .await
        .ok(200);
    assert_eq!(extension.calls().total, asked, "they are fetched once");
    answer(&harness.function("user-info"), &info_event(&tokens))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_fail_until_the_extension_is_available() {
    let (harness, known) = kept_elsewhere().await;
    let port = e2e::free_port();
    let settings = harness.settings.clone().with(PORT, &port.to_string());
    let login = start("login", &settings);
    let event = login_event(&harness.code("alice"));
    let refused = answer(&login, &event).await;
    refused.fails(503, "unavailable");
    assert!(refused.header("retry-after").is_some() && refused.header("x-request-id").is_some());
    // The answer can arrive before the log line is read.
    let line: Value =
        serde_json::from_str(&login.process().wait_for_line("start refused").await).unwrap();
    let why = line["why"].as_str().unwrap();
    for name in KEPT {
        assert!(
            why.contains(&format!("{name}: part 1 could not be fetched")),
            "{why}"
        );
    }
    assert!(why.contains("has this function its layer?"), "{why}");
    known.copy_to(&SecretsExtension::start_on(port).await);
    answer(&login, &event).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_refuses_the_start_by_name() {
    let (harness, extension) = kept_elsewhere().await;
    let settings = harness.settings.with(
        "JWT_SECRETS",
        "secretsmanager:JWT_SECRETS, ssm:/weapp/no-such-name",
    );
    let (why, refusal) = refusal("login", &settings).await;
    assert!(
        why.starts_with("JWT_SECRETS: part 2 could not be fetched: ")
            && why.contains("answered 400"),
        "{why}"
    );
    assert!(!why.contains(';') || !why.contains("DATA_KEYS"), "{why}");
    refusal.logs.assert_without_secrets(Settings::secrets());
    assert_eq!(extension.calls().total, KEPT.len() + 1, "asked once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_secret_service_is_tried_three_times() {
    let (harness, extension) = kept_elsewhere().await;
    extension.set_fault(Fault::Status(500));
    let (why, _) = refusal(
        "user-info",
        &harness
            .settings
            .without("DATA_KEYS")
            .without("WECHAT_SECRETS"),
    )
    .await;
    assert!(
        why.contains("JWT_SECRETS: ")
            && why.contains("REDIS_URL: ")
            && why.contains("answered 500"),
        "{why}"
    );
    assert_eq!(extension.calls().total, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_secret_service_refuses_the_start_in_time() {
    let (harness, extension) = kept_elsewhere().await;
    extension.set_fault(Fault::Slow(Duration::from_mins(1)));
    let function = start("user-info", &harness.settings);
    let started = function.started();
    let refusal = function.wait_exit().await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "Lambda's init ends after ten seconds"
    );
    assert!(
        refusal.logs.contain("did not answer in time"),
        "{}",
        refusal.logs
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetched_value_is_validated() {
    let (harness, extension) = kept_elsewhere().await;
    for useless in [
        "hunter2",
        "ssm:/weapp/another-reference-of-at-least-32-bytes",
    ] {
        extension.put_secret("JWT_SECRETS", useless);
        let (why, refusal) = refusal("login", &harness.settings).await;
        assert!(why.starts_with("JWT_SECRETS: "), "{why}");
        assert!(!refusal.logs.contain(useless), "{}", refusal.logs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_only_verifies_needs_only_public_keys() {
    let (harness, extension) = kept_elsewhere().await;
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    extension.put_parameter(
        "/weapp/private",
        &format!("k1:{}", pair.private.expose_secret()),
    );
    extension.put_parameter("/weapp/public", &format!("k1:{}", pair.public));
    let login = start(
        "login",
        &harness
            .settings
            .clone()
            .with("JWT_KEYS", "ssm:/weapp/private"),
    );
    let tokens = harness.log_in(&login, "alice").await;
    assert_eq!(tokens.header()["alg"], "ES256");
    let verifying = harness
        .settings
        .clone()
        .with("JWT_KEYS", "ssm:/weapp/public")
        .without("JWT_SECRETS");
    let verifying = verifying.without("DATA_KEYS").without("WECHAT_SECRETS");
    let user_info = start("user-info", &verifying);
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    // That instance has no HS256 key.
    let old = harness.log_in(&harness.function("login"), "alice").await;
    answer(&user_info, &info_event(&old))
        .await
        .fails(401, "token_invalid");
    // A function that issues tokens needs a signing key.
    let (why, _) = refusal("token", &verifying).await;
    assert!(why.starts_with("JWT_SECRETS: is not set"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_fetches_a_new_key_once() {
    let (harness, extension) = kept_elsewhere().await;
    let [old, new] = ["old", "new"].map(|name| {
        let pair = KeyPair::generate(KeyKind::Ed25519).unwrap();
        format!("{name}:{}", pair.private.expose_secret())
    });
    extension.put_parameter("/weapp/keys", &old);
    let settings = harness.settings.clone().with("JWT_KEYS", "ssm:/weapp/keys");
    let user_info = start("user-info", &settings);
    let before = harness.log_in(&start("login", &settings), "alice").await;
    answer(&user_info, &info_event(&before)).await.ok(200);
    extension.put_parameter("/weapp/keys", &format!("{new},{old}"));
    let after = harness.log_in(&start("login", &settings), "alice").await;
    assert_eq!(after.header()["kid"], "new");
    answer(&user_info, &info_event(&after)).await.ok(200);
    answer(&user_info, &info_event(&before)).await.ok(200);
    let asked = extension.calls().total;
    let (_, rest) = after.access.split_once('.').unwrap();
    for kid in 0..20 {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let header = BASE64_URL_SAFE_NO_PAD.encode(format!(
            r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"k{kid}"}}"#
        ));
        let event = HttpApi::new("GET", "/api/v1/user/info")
            .bearer(&format!("{header}.{rest}"))
            .event();
        answer(&user_info, &event).await.fails(401, "token_invalid");
    }
    assert_eq!(extension.calls().total, asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_without_references_does_not_call_the_extension() {
    let extension = SecretsExtension::start().await;
    let harness = LambdaHarness::start().await;
    let settings = harness
        .settings
        .clone()
        .with(PORT, &extension.port.to_string());
    let health = start("health", &settings);
    answer(&health, &load("health", "health", &[]))
        .await
        .ok(200);
    harness.log_in(&start("login", &settings), "alice").await;
    assert_eq!(extension.calls().total, 0);
}

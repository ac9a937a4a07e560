//! Referenced keys are fetched again when a token has an unknown key, but not too often.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    secrets_extension::{Fault, SecretsExtension},
    test_app::{Api, SharedState, TestApp, Tokens, capture},
};
use futures_util::future::join_all;
use shared::crypto::KeyKind;

use super::NamedKey;

/// An app whose instances fetch their signing keys from the extension.
struct AppWithSecretsExtension {
    app: TestApp,
    extension: SecretsExtension,
    old: NamedKey,
    new: NamedKey,
}

impl AppWithSecretsExtension {
    async fn start() -> Self {
        let extension = SecretsExtension::start().await;
        let (old, new) = (
            NamedKey::new("old", KeyKind::Ed25519),
            NamedKey::new("new", KeyKind::Ed25519),
        );
        extension.put_parameter("/weapp/keys", &old.private);
        let limits = [
            "RATE_LIMIT_LOGIN",
            "RATE_LIMIT_USER",
            "RATE_LIMIT_REFRESH",
            "RATE_LIMIT_GUEST",
        ];
        let builder = limits
            .iter()
            .fold(TestApp::builder(SharedState::Redis), |builder, name| {
                builder.set(name, "off")
            });
        let builder = builder.set(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            &extension.port.to_string(),
        );
        let app = builder.set("JWT_KEYS", "ssm:/weapp/keys").start().await;
        Self {
            app,
            extension,
            old,
            new,
        }
    }

    /// Makes the new key the signing key and returns tokens from an instance that started
    /// afterwards.
    async fn rotate(&self) -> Tokens {
        self.extension.put_parameter(
            "/weapp/keys",
            &format!("{},{}", self.new.private, self.old.private),
        );
        let tokens = self.log_in(&self.app.another_instance().await).await;
        assert_eq!(tokens.header()["kid"], "new");
        tokens
    }

    async fn log_in(&self, api: &Api) -> Tokens {
        Tokens::of(&api.login(&self.app.code("alice")).await)
    }
}

/// This many tokens, each with an unknown key id.
fn hostile(good: &Tokens, count: usize) -> Vec<String> {
    let (_, rest) = good.access.split_once('.').unwrap();
    let header = |n| {
        BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"k{n}"}}"#))
    };
    (0..count)
        .map(|n| format!("{}.{rest}", header(n)))
        .collect()
}

async fn all_are_refused(api: &Api, tokens: &[String]) {
    for answer in join_all(tokens.iter().map(|token| api.info(token))).await {
        answer.fails(401, "token_invalid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_reaches_an_instance_with_its_first_token() {
    let fixture = AppWithSecretsExtension::start().await;
    let before = fixture.log_in(&fixture.app.api).await;
    assert_eq!(before.header()["kid"], "old");
    let tokens = fixture.rotate().await;
    let calls = fixture.extension.calls().total;
    fixture.app.api.info(&tokens.access).await.ok(200);
    assert_eq!(fixture.extension.calls().total, calls + 1);
    fixture.app.api.info(&before.access).await.ok(200);
    // From now on the instance signs with it and makes no further fetch.
    assert_eq!(
        fixture.log_in(&fixture.app.api).await.header()["kid"],
        "new"
    );
    assert_eq!(fixture.extension.calls().total, calls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_unknown_keys_causes_one_fetch_a_minute() {
    let fixture = AppWithSecretsExtension::start().await;
    let good = fixture.log_in(&fixture.app.api).await;
    // So that they all share one fetch.
    fixture
        .extension
        .set_fault(Fault::Slow(Duration::from_millis(100)));
    for minute in 1..=3 {
        let calls = fixture.extension.calls().total;
        for _ in 0..3 {
            all_are_refused(&fixture.app.api, &hostile(&good, 20)).await;
            fixture.app.clock.advance_seconds(19);
        }
        assert_eq!(
            fixture.extension.calls().total,
            calls + 1,
            "minute {minute}"
        );
        fixture.app.clock.advance_seconds(3);
    }
    fixture.app.api.info(&good.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_refetch_keeps_the_current_keys() {
    let log_capture = capture();
    let fixture = AppWithSecretsExtension::start().await;
    let good = fixture.log_in(&fixture.app.api).await;
    let tokens = fixture.rotate().await;
    let faults = [
        Fault::Status(500),
        Fault::Status(403),
        Fault::NotReady,
        Fault::Slow(Duration::from_mins(1)),
    ];
    for fault in faults {
        fixture.extension.set_fault(fault);
        fixture
            .app
            .api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        fixture.app.api.info(&good.access).await.ok(200);
        fixture.app.clock.advance_seconds(60);
    }
    fixture.extension.set_fault(Fault::None);
    for useless in [
        "",
        "no key at all",
        &format!("{0},{0}", fixture.new.private),
    ] {
        fixture.extension.put_parameter("/weapp/keys", useless);
        fixture
            .app
            .api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        fixture.app.api.info(&good.access).await.ok(200);
        fixture.app.clock.advance_seconds(60);
    }
    let log = log_capture.logs();
    let errors = log.json_where("what", &"keys".into());
    assert!(errors.len() >= 7, "{errors:?}");
    assert!(
        errors
            .iter()
            .all(|line| line["error"].as_str().unwrap().starts_with("JWT_KEYS: ")),
        "{errors:?}"
    );
    log.assert_without_secrets([(
        "a signing key",
        fixture.new.private.split_once(':').unwrap().1,
    )]);
    // Recovers by itself.
    fixture.rotate().await;
    fixture.app.api.info(&tokens.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_reaches_an_instance_with_its_first_refresh_token() {
    let extension = SecretsExtension::start().await;
    extension.put_secret("weapp/jwt", "first-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9");
    let builder = TestApp::builder(SharedState::Redis)
        .set(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            &extension.port.to_string(),
        )
        .set("JWT_SECRETS", "secretsmanager:weapp/jwt");
    let app = builder.start().await;
    extension.put_secret(
        "weapp/jwt",
        "second-jwt-secret-Yx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9,first-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9",
    );
    let rotated = app.another_instance().await;
    let tokens = Tokens::of(&rotated.login(&app.code("alice")).await);
    Tokens::of(&app.api.refresh(&tokens.refresh).await);
}

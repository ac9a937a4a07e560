//! Keys that are kept elsewhere are looked up again when somebody comes with one that is unknown,
//! and not too often.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    secrets_extension::{Fault, SecretsExtension},
    world::{Api, SharedState, Tokens, World, capture, captured},
};
use futures_util::future::join_all;
use shared::crypto::KeyKind;

use super::NamedKey;

/// A backend whose instances have their keys from the extension, where two keys are.
struct Scene {
    world: World,
    extension: SecretsExtension,
    old: NamedKey,
    new: NamedKey,
}

impl Scene {
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
        let plan = limits
            .iter()
            .fold(World::with(SharedState::Redis), |plan, name| {
                plan.set(name, "off")
            });
        let plan = plan.set(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            &extension.port.to_string(),
        );
        let world = plan.set("JWT_KEYS", "ssm:/weapp/keys").start().await;
        Self {
            world,
            extension,
            old,
            new,
        }
    }

    /// The new key is put in front; returns a token that it signed, at an instance that started
    /// after that.
    async fn rotate(&self) -> Tokens {
        self.extension.put_parameter(
            "/weapp/keys",
            &format!("{},{}", self.new.private, self.old.private),
        );
        let tokens = self.log_in(&self.world.another_instance().await).await;
        assert_eq!(tokens.header()["kid"], "new");
        tokens
    }

    async fn log_in(&self, api: &Api) -> Tokens {
        Tokens::of(&api.login(&self.world.code("alice")).await)
    }
}

/// As many tokens, each of a key that nobody has.
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
    let scene = Scene::start().await;
    let before = scene.log_in(&scene.world.api).await;
    assert_eq!(before.header()["kid"], "old");
    let tokens = scene.rotate().await;
    let calls = scene.extension.calls().total;
    scene.world.api.info(&tokens.access).await.ok(200);
    assert_eq!(scene.extension.calls().total, calls + 1);
    scene.world.api.info(&before.access).await.ok(200);
    // From now on the instance signs with it, too, and asks nobody.
    assert_eq!(scene.log_in(&scene.world.api).await.header()["kid"], "new");
    assert_eq!(scene.extension.calls().total, calls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_unknown_keys_causes_one_fetch_a_minute() {
    let scene = Scene::start().await;
    let good = scene.log_in(&scene.world.api).await;
    // So that all of them meet one fetch.
    scene
        .extension
        .set_fault(Fault::Slow(Duration::from_millis(100)));
    for minute in 1..=3 {
        let calls = scene.extension.calls().total;
        for _ in 0..3 {
            all_are_refused(&scene.world.api, &hostile(&good, 20)).await;
            scene.world.clock.advance_seconds(19);
        }
        assert_eq!(scene.extension.calls().total, calls + 1, "minute {minute}");
        scene.world.clock.advance_seconds(3);
    }
    scene.world.api.info(&good.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_fetched_again_stay_as_they_are() {
    capture();
    let scene = Scene::start().await;
    let good = scene.log_in(&scene.world.api).await;
    let tokens = scene.rotate().await;
    let faults = [
        Fault::Status(500),
        Fault::Status(403),
        Fault::NotReady,
        Fault::Slow(Duration::from_mins(1)),
    ];
    for fault in faults {
        scene.extension.set_fault(fault);
        scene
            .world
            .api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        scene.world.api.info(&good.access).await.ok(200);
        scene.world.clock.advance_seconds(60);
    }
    scene.extension.set_fault(Fault::None);
    for useless in ["", "no key at all", &format!("{0},{0}", scene.new.private)] {
        scene.extension.put_parameter("/weapp/keys", useless);
        scene
            .world
            .api
            .info(&tokens.access)
            .await
            .fails(401, "token_invalid");
        scene.world.api.info(&good.access).await.ok(200);
        scene.world.clock.advance_seconds(60);
    }
    let log = captured();
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
        scene.new.private.split_once(':').unwrap().1,
    )]);
    // Recovers by itself.
    scene.rotate().await;
    scene.world.api.info(&tokens.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_reaches_an_instance_with_its_first_refresh_token() {
    let extension = SecretsExtension::start().await;
    extension.put_secret("weapp/jwt", "first-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9");
    let plan = World::with(SharedState::Redis)
        .set(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            &extension.port.to_string(),
        )
        .set("JWT_SECRETS", "secretsmanager:weapp/jwt");
    let world = plan.start().await;
    extension.put_secret(
        "weapp/jwt",
        "second-jwt-secret-Yx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9,first-jwt-secret-Zx8Kq3Vn5Tr1Wd7Lp0Hs4Gj9",
    );
    let rotated = world.another_instance().await;
    let tokens = Tokens::of(&rotated.login(&world.code("alice")).await);
    Tokens::of(&world.api.refresh(&tokens.refresh).await);
}

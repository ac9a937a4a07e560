//! Access tokens.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    settings::Settings,
    world::SharedState::{self, InProcess, Redis},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use rstest::rstest;
use serde_json::{Value, json};

use super::fixture::{SIGNED_IN, Scene};

const INVALID: &str =
    r#"Bearer realm="weapp", error="invalid_token", error_description="not a valid access token""#;

fn jwt_secret() -> &'static str {
    Settings::secrets()
        .into_iter()
        .find(|(name, _)| *name == "the JWT secret")
        .unwrap()
        .1
}

fn encode(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

/// A token that is well signed, whatever it says.
fn signed(header: &Value, claims: &Value, secret: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// `value` with one member set, or removed by `null`.
fn with(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    let members = value.as_object_mut().unwrap();
    if member.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), member);
    }
    value
}

impl Scene {
    /// Every route refuses every one of these tokens in the same words.
    async fn all_refuse(&self, tokens: &[String], reason: &str, challenge: &str) {
        for (method, path) in SIGNED_IN {
            for token in tokens {
                let answer = self
                    .world
                    .api
                    .request(method, path)
                    .bearer(token)
                    .send()
                    .await;
                assert_eq!(
                    (answer.status, answer.reason()),
                    (401, Some(reason)),
                    "{method} {path} {token}"
                );
                assert_eq!(answer.header("www-authenticate"), Some(challenge));
            }
        }
        self.is_unharmed().await;
    }

    fn forged(&self, header: impl Fn(Value) -> Value, claims: impl Fn(Value) -> Value) -> String {
        signed(
            &header(self.tokens.header()),
            &claims(self.tokens.claims()),
            jwt_secret(),
            Algorithm::HS256,
        )
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_every_route_says_so(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    for (method, path) in SIGNED_IN {
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer  "),
            Some("Basic YTpi"),
            Some("x"),
            Some("Bearer \u{e9}"),
        ] {
            let request = scene.world.api.request(method, path);
            let request = match authorization {
                Some(value) => request.header("authorization", value),
                None => request,
            };
            let answer = request.send().await;
            answer.fails(401, "token_missing");
            assert_eq!(
                answer.header("www-authenticate"),
                Some(r#"Bearer realm="weapp""#)
            );
        }
    }
    scene.is_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_token_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let good = &scene.tokens.access;
    let parts: Vec<&str> = good.split('.').collect();
    let tokens = [
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "null".to_owned(),
        "x".repeat(5000),
        format!("{good}x"),
        format!("{good}="),
        format!("{good}.{}", parts[2]),
        good[1..].to_owned(),
        good.to_uppercase(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        scene.tokens.refresh.clone(),
    ];
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsigned_token_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let signature = scene.tokens.access.rsplit('.').next().unwrap().to_owned();
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = with(&scene.tokens.header(), "alg", json!(alg));
        for signature in ["", &signature] {
            tokens.push(format!(
                "{}.{}.{signature}",
                encode(&header),
                encode(&scene.tokens.claims())
            ));
        }
    }
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_key_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let (header, claims) = (scene.tokens.header(), scene.tokens.claims());
    let other = "another-secret-of-the-tests-Zb7Qk2Vx9Lm4";
    let mut tokens = vec![
        signed(&header, &claims, other, Algorithm::HS256),
        signed(&header, &claims, "", Algorithm::HS256),
    ];
    // By the right key, and yet under another name or none.
    for kid in [
        json!(null),
        json!("other"),
        json!(""),
        json!(7),
        json!("../../dev/null"),
        json!("' OR 1=1"),
    ] {
        tokens.push(signed(
            &with(&header, "kid", kid),
            &claims,
            jwt_secret(),
            Algorithm::HS256,
        ));
    }
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_another_algorithm_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let tokens = [
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
        ("RS256", Algorithm::HS256),
    ]
    .map(|(alg, algorithm)| {
        let header = with(&scene.tokens.header(), "alg", json!(alg));
        signed(&header, &scene.tokens.claims(), jwt_secret(), algorithm)
    });
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_type_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let types = [
        json!(null),
        json!("JWT"),
        json!("rt+jwt"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!(""),
    ];
    let tokens =
        types.map(|typ| scene.forged(|header| with(&header, "typ", typ.clone()), |claims| claims));
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_other_claims_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let claims = [
        ("iss", json!("somebody-else")),
        ("iss", json!(null)),
        ("aud", json!("wx9999999999999999")),
        ("aud", json!(null)),
        ("aud", json!("a#b")),
        ("sub", json!("alice")),
        ("sub", json!(null)),
        ("sid", json!("PROFILE")),
        ("sid", json!(null)),
        ("role", json!("root")),
        ("exp", json!(null)),
        ("exp", json!("tomorrow")),
    ];
    let tokens = claims.map(|(name, claim)| {
        scene.forged(|header| header, |claims| with(&claims, name, claim.clone()))
    });
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_claims_were_changed_is_invalid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let parts: Vec<&str> = scene.tokens.access.split('.').collect();
    let changes = [
        ("role", json!("admin")),
        ("exp", json!(4_000_000_000_i64)),
        ("sub", json!("0193c0de-0000-7000-8000-00000000abcd")),
    ];
    let tokens = changes.map(|(name, claim)| {
        format!(
            "{}.{}.{}",
            parts[0],
            encode(&with(&scene.tokens.claims(), name, claim)),
            parts[2]
        )
    });
    scene.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_lives_two_hours_and_half_a_minute(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    scene.world.clock.advance_seconds(7230);
    scene.world.api.info(&scene.tokens.access).await.ok(200);
    scene.world.clock.advance_seconds(1);
    scene
        .world
        .api
        .info(&scene.tokens.access)
        .await
        .fails(401, "token_expired");
    scene.world.api.refresh(&scene.tokens.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_expired_on_every_route(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let challenge = r#"Bearer realm="weapp", error="invalid_token", error_description="the access token expired""#;
    let long_ago = [0, 1_500_000_000]
        .map(|exp| scene.forged(|header| header, |claims| with(&claims, "exp", json!(exp))));
    scene
        .all_refuse(&long_ago, "token_expired", challenge)
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_a_session_that_never_was_is_revoked(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let challenge =
        r#"Bearer realm="weapp", error="invalid_token", error_description="the session has ended""#;
    let never = json!("0193c0de-0000-7000-8000-00000000abcd");
    let tokens = ["sid", "sub"]
        .map(|name| scene.forged(|header| header, |claims| with(&claims, name, never.clone())));
    // An owner of a session under another user's name must not be served from what the cache knows
    // either.
    scene.world.api.info(&scene.tokens.access).await.ok(200);
    scene
        .world
        .api
        .info(&tokens[0])
        .await
        .fails(401, "session_revoked");
    scene
        .all_refuse(&tokens[..1], "session_revoked", challenge)
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheme_is_taken_in_any_case(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let request = scene.world.api.request("GET", "/api/v1/user/info");
        request
            .header(
                "authorization",
                &format!("{scheme} {}", scene.tokens.access),
            )
            .send()
            .await
            .ok(200);
    }
}

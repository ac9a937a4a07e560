//! Access tokens.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    settings::Settings,
    test_app::SharedState::{self, InProcess, Redis},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use rstest::rstest;
use serde_json::{Value, json};

use super::logged_in::{AUTHENTICATED, LoggedInApp};

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

/// A correctly signed token with any content.
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

impl LoggedInApp {
    /// Asserts that every route refuses each of these tokens with this reason and challenge.
    async fn all_refuse(&self, tokens: &[String], reason: &str, challenge: &str) {
        for (method, path) in AUTHENTICATED {
            for token in tokens {
                let answer = self
                    .app
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
        self.assert_unharmed().await;
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
async fn without_a_token_every_route_answers_token_missing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    for (method, path) in AUTHENTICATED {
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer  "),
            Some("Basic YTpi"),
            Some("x"),
            Some("Bearer \u{e9}"),
        ] {
            let request = fixture.app.api.request(method, path);
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
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_token_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let good = &fixture.tokens.access;
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
        fixture.tokens.refresh.clone(),
    ];
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsigned_token_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let signature = fixture.tokens.access.rsplit('.').next().unwrap().to_owned();
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = with(&fixture.tokens.header(), "alg", json!(alg));
        for signature in ["", &signature] {
            tokens.push(format!(
                "{}.{}.{signature}",
                encode(&header),
                encode(&fixture.tokens.claims())
            ));
        }
    }
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_signed_with_another_key_is_invalid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let (header, claims) = (fixture.tokens.header(), fixture.tokens.claims());
    let other = "another-secret-of-the-tests-Zb7Qk2Vx9Lm4";
    let mut tokens = vec![
        signed(&header, &claims, other, Algorithm::HS256),
        signed(&header, &claims, "", Algorithm::HS256),
    ];
    // Signed with the right key, under another `kid` or none.
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
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_another_algorithm_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let tokens = [
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
        ("RS256", Algorithm::HS256),
    ]
    .map(|(alg, algorithm)| {
        let header = with(&fixture.tokens.header(), "alg", json!(alg));
        signed(&header, &fixture.tokens.claims(), jwt_secret(), algorithm)
    });
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_type_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let types = [
        json!(null),
        json!("JWT"),
        json!("rt+jwt"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!(""),
    ];
    let tokens = types
        .map(|typ| fixture.forged(|header| with(&header, "typ", typ.clone()), |claims| claims));
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_wrong_claims_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
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
        fixture.forged(|header| header, |claims| with(&claims, name, claim.clone()))
    });
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_tampered_claims_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let parts: Vec<&str> = fixture.tokens.access.split('.').collect();
    let changes = [
        ("role", json!("admin")),
        ("exp", json!(4_000_000_000_i64)),
        ("sub", json!("0193c0de-0000-7000-8000-00000000abcd")),
    ];
    let tokens = changes.map(|(name, claim)| {
        format!(
            "{}.{}.{}",
            parts[0],
            encode(&with(&fixture.tokens.claims(), name, claim)),
            parts[2]
        )
    });
    fixture.all_refuse(&tokens, "token_invalid", INVALID).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_lives_two_hours_and_half_a_minute(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    fixture.app.clock.advance_seconds(7230);
    fixture.app.api.info(&fixture.tokens.access).await.ok(200);
    fixture.app.clock.advance_seconds(1);
    fixture
        .app
        .api
        .info(&fixture.tokens.access)
        .await
        .fails(401, "token_expired");
    fixture
        .app
        .api
        .refresh(&fixture.tokens.refresh)
        .await
        .ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_reports_an_expired_token(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let challenge = r#"Bearer realm="weapp", error="invalid_token", error_description="the access token expired""#;
    let long_ago = [0, 1_500_000_000]
        .map(|exp| fixture.forged(|header| header, |claims| with(&claims, "exp", json!(exp))));
    fixture
        .all_refuse(&long_ago, "token_expired", challenge)
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_unknown_session_is_revoked(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let challenge =
        r#"Bearer realm="weapp", error="invalid_token", error_description="the session has ended""#;
    let never = json!("0193c0de-0000-7000-8000-00000000abcd");
    let tokens = ["sid", "sub"]
        .map(|name| fixture.forged(|header| header, |claims| with(&claims, name, never.clone())));
    // The cached session must not be served under another user's id either.
    fixture.app.api.info(&fixture.tokens.access).await.ok(200);
    fixture
        .app
        .api
        .info(&tokens[0])
        .await
        .fails(401, "session_revoked");
    fixture
        .all_refuse(&tokens[..1], "session_revoked", challenge)
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authorization_scheme_is_case_insensitive(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let request = fixture.app.api.request("GET", "/api/v1/user/info");
        request
            .header(
                "authorization",
                &format!("{scheme} {}", fixture.tokens.access),
            )
            .send()
            .await
            .ok(200);
    }
}

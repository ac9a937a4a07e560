use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    clock::ManualClock,
    config::Env,
    ids::{SessionId, UserId},
};

const SECRET: &str = "k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6";
const OTHER: &str = "zzk3f9s0d8f7a6h5j4k3l2m1n0b9v8c7";
const NOW: i64 = 1_800_000_000;

fn tokens(secrets: &str) -> (Tokens, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_second(NOW).unwrap());
    let env = Env::new([("JWT_SECRETS", secrets), ("WECHAT_APPIDS", "wx1,wx2")]);
    (Tokens::new(&TokenSettings::read(&env), Clock::Manual(clock.clone())), clock)
}

fn session() -> Session {
    let at = Timestamp::from_second(NOW).unwrap();
    Session {
        id: SessionId(Uuid::from_u128(2)),
        user: UserId(Uuid::from_u128(1)),
        app_id: "wx1".parse().unwrap(),
        counter: 0,
        created_at: at,
        rotated_at: at,
        revoked_at: None,
        user_agent: None,
        ttl: NOW + 2_592_000,
    }
}

fn issued(tokens: &Tokens) -> String {
    tokens.issue(&session(), Role::User).unwrap().access.expose_secret().to_owned()
}

/// The header and claims of a good token, changed by the given functions and signed with `secret`.
fn forged(secret: &str, header: impl Fn(&mut Header), claims: impl Fn(&mut Value)) -> String {
    let (tokens, _) = tokens(SECRET);
    let good = issued(&tokens);
    let mut parts = good.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let mut good_header: Header = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    let mut good_claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    header(&mut good_header);
    claims(&mut good_claims);
    jsonwebtoken::encode(&good_header, &good_claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    tokens(SECRET).0.verify(token)
}

#[test]
fn header_and_claims_are_as_documented() {
    let (tokens, _) = tokens(SECRET);
    let token = issued(&tokens);
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0)["typ"], "at+jwt");
    assert_eq!(part(0)["alg"], "HS256");
    assert_eq!(part(0)["kid"].as_str().unwrap().len(), 16);
    assert_eq!(
        part(1),
        json!({
            "iss": "weapp-serverless", "aud": "wx1", "role": "user",
            "sub": "00000000-0000-0000-0000-000000000001", "sid": "00000000-0000-0000-0000-000000000002",
            "iat": NOW, "exp": NOW + 7200, "jti": "00000000-0000-0000-0000-000000000002.0",
        })
    );
}

#[test]
fn a_forged_token_is_invalid() {
    assert!(verify(&forged(SECRET, |_| {}, |_| {})).is_ok(), "the unchanged one is good");
    let cases = [
        forged(OTHER, |_| {}, |_| {}),
        forged(SECRET, |header| header.typ = Some("JWT".into()), |_| {}),
        forged(SECRET, |header| header.typ = None, |_| {}),
        forged(SECRET, |header| header.kid = None, |_| {}),
        forged(SECRET, |header| header.kid = Some("other".into()), |_| {}),
        forged(SECRET, |header| header.alg = Algorithm::HS512, |_| {}),
        forged(SECRET, |_| {}, |claims| claims["iss"] = "someone".into()),
        forged(SECRET, |_| {}, |claims| claims["aud"] = "wx3".into()),
        forged(SECRET, |_| {}, |claims| claims["sub"] = "1".into()),
        forged(SECRET, |_| {}, |claims| claims["role"] = "root".into()),
        forged(SECRET, |_| {}, |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        forged(SECRET, |_| {}, |claims| drop(claims.as_object_mut().unwrap().remove("sid"))),
    ];
    for (number, token) in cases.iter().enumerate() {
        assert_eq!(verify(token).err(), Some(TokenError::Invalid), "case {number}");
    }
}

#[test]
fn a_token_without_a_signature_is_invalid() {
    let good = issued(&tokens(SECRET).0);
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let claims = unsigned.split_once('.').unwrap().1;
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    for token in [format!("{none}.{claims}."), format!("{none}.{claims}"), format!("{unsigned}."), "x".repeat(5000)] {
        assert_eq!(verify(&token).err(), Some(TokenError::Invalid), "{token}");
    }
}

#[test]
fn a_token_expires_after_its_life_and_the_leeway() {
    let (tokens, clock) = tokens(SECRET);
    let token = issued(&tokens);
    clock.advance_seconds(7230);
    assert!(tokens.verify(&token).is_ok());
    clock.advance_seconds(1);
    assert_eq!(tokens.verify(&token).err(), Some(TokenError::Expired));
}

#[test]
fn a_rotated_secret_still_verifies() {
    let old = issued(&tokens(SECRET).0);
    let (rotated, _) = tokens(&format!("{OTHER},{SECRET}"));
    assert!(rotated.verify(&old).is_ok());
    let new = issued(&rotated);
    assert!(tokens(OTHER).0.verify(&new).is_ok());
    assert_eq!(verify(&new).err(), Some(TokenError::Invalid));
}

#[test]
fn the_tokens_of_a_session_are_the_same_until_it_is_refreshed() {
    let (tokens, clock) = tokens(SECRET);
    let first = tokens.issue(&session(), Role::User).unwrap();
    clock.advance_seconds(10);
    let again = tokens.issue(&session(), Role::User).unwrap();
    assert_eq!(first.access.expose_secret(), again.access.expose_secret());
    assert_eq!(first.refresh.expose_secret(), again.refresh.expose_secret());
    assert_eq!((first.expires_in, again.expires_in), (7200, 7190));
}

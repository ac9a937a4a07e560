use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::FutureExt;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::JwkSet};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    clock::ManualClock,
    config::Env,
    crypto::{KeyKind, KeyPair},
    ids::{SessionId, UserId},
};

const SECRET: &str = "k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6";
const OTHER: &str = "zzk3f9s0d8f7a6h5j4k3l2m1n0b9v8c7";
const NOW: i64 = 1_800_000_000;

fn tokens(secrets: &str) -> (Tokens, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_second(NOW).unwrap());
    let env = Env::new([("JWT_SECRETS", secrets), ("WECHAT_APPIDS", "wx1,wx2")]);
    (Tokens::new(&env, Clock::Manual(clock.clone())), clock)
}

/// Keys that stand in the environment: nothing is waited for.
fn check(tokens: &Tokens, token: &str) -> Result<Claims, TokenError> {
    tokens
        .verify(token)
        .now_or_never()
        .expect("an answer at once")
}

fn session() -> Session {
    let at = Timestamp::from_second(NOW).unwrap();
    Session {
        id: SessionId(Uuid::from_u128(2)),
        user: UserId(Uuid::from_u128(1)),
        open_id: None,
        app_id: "wx1".parse().unwrap(),
        counter: 0,
        created_at: at,
        refreshed_at: at,
        revoked_at: None,
        ended_by: None,
        ended_by_id: None,
        user_agent: None,
        ttl: NOW + 2_592_000,
    }
}

fn issued(tokens: &Tokens) -> String {
    tokens
        .issue(&session(), Role::User)
        .unwrap()
        .access
        .expose_secret()
        .to_owned()
}

/// The header and claims of a good token, changed by the given functions and signed with `secret`.
fn forged(secret: &str, header: impl Fn(&mut Header), claims: impl Fn(&mut Value)) -> String {
    let (tokens, _) = tokens(SECRET);
    let good = issued(&tokens);
    let mut parts = good
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let mut good_header: Header = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    let mut good_claims: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
    header(&mut good_header);
    claims(&mut good_claims);
    jsonwebtoken::encode(
        &good_header,
        &good_claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    check(&tokens(SECRET).0, token)
}

#[test]
fn header_and_claims_are_as_documented() {
    let (tokens, _) = tokens(SECRET);
    let token = issued(&tokens);
    let part = |at: usize| -> Value {
        serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(token.split('.').nth(at).unwrap())
                .unwrap(),
        )
        .unwrap()
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
    assert!(
        verify(&forged(SECRET, |_| {}, |_| {})).is_ok(),
        "the unchanged one is good"
    );
    let cases = [
        forged(OTHER, |_| {}, |_| {}),
        forged(SECRET, |header| header.typ = Some("JWT".into()), |_| {}),
        forged(SECRET, |header| header.typ = None, |_| {}),
        forged(SECRET, |header| header.alg = Algorithm::HS512, |_| {}),
        forged(SECRET, |_| {}, |claims| claims["iss"] = "someone".into()),
        forged(SECRET, |_| {}, |claims| claims["aud"] = "wx3".into()),
        forged(SECRET, |_| {}, |claims| claims["sub"] = "1".into()),
        forged(SECRET, |_| {}, |claims| claims["role"] = "root".into()),
        forged(
            SECRET,
            |_| {},
            |claims| drop(claims.as_object_mut().unwrap().remove("exp")),
        ),
        forged(
            SECRET,
            |_| {},
            |claims| drop(claims.as_object_mut().unwrap().remove("sid")),
        ),
    ];
    for (number, token) in cases.iter().enumerate() {
        assert_eq!(
            verify(token).err(),
            Some(TokenError::Invalid),
            "case {number}"
        );
    }
    let unnamed = forged(SECRET, |header| header.kid = None, |_| {});
    let unknown = forged(SECRET, |header| header.kid = Some("other".into()), |_| {});
    for token in [unnamed, unknown] {
        assert_eq!(verify(&token).err(), Some(TokenError::UnknownKey));
    }
}

/// A good token, its header and claims extended by these members and signed with the right secret.
fn literal(header: &str, claims: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};

    let good = issued(&tokens(SECRET).0);
    let mut parts = good.split('.');
    let mut extend = |more: &str| {
        let json = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        let json = String::from_utf8(json).unwrap();
        URL_SAFE_NO_PAD.encode(json.replace('}', &format!("{more}}}")))
    };
    let message = format!("{}.{}", extend(header), extend(claims));
    let mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let tag = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn a_header_that_demands_an_extension_is_refused() {
    assert!(verify(&literal("", "")).is_ok());
    for header in [
        r#","crit":["b64"],"b64":false"#,
        r#","crit":["exp"],"exp":1800000000"#,
        r#","crit":["alg"]"#,
        r#","crit":[]"#,
        r#","crit":null"#,
        r#","crit":"x""#,
        r#","crit":{}"#,
        r#","b64":true"#,
        r#","b64":false"#,
    ] {
        let token = literal(header, "");
        assert_eq!(
            verify(&token).err(),
            Some(TokenError::Extension),
            "{header}"
        );
    }
}

#[test]
fn a_header_parameter_that_is_not_known_is_ignored() {
    assert!(verify(&literal(r#","x":{"crit":["y"]},"cty":"json""#, "")).is_ok());
}

#[test]
fn repeated_members_are_refused() {
    for header in [
        r#","alg":"HS256""#,
        r#","typ":"at+jwt""#,
        r#","kid":"x""#,
        r#","crit":[],"crit":[]"#,
    ] {
        let token = literal(header, "");
        assert_eq!(verify(&token).err(), Some(TokenError::Invalid), "{header}");
    }
    for claims in [
        r#","aud":"wx2""#,
        r#","exp":1900000000"#,
        r#","sub":"00000000-0000-0000-0000-000000000009""#,
        r#","nbf":1,"nbf":1"#,
    ] {
        let token = literal("", claims);
        assert_eq!(verify(&token).err(), Some(TokenError::Invalid), "{claims}");
    }
}

#[test]
fn a_token_is_not_valid_before_its_nbf_less_the_leeway() {
    for nbf in ["1800000030", "1800000029.5", "1.8e9", "0", "-1"] {
        let token = literal("", &format!(r#","nbf":{nbf}"#));
        assert!(verify(&token).is_ok(), "{nbf}");
    }
    for nbf in ["1800000031", "1800000030.5", "1e300", "9223372036854775807"] {
        let token = literal("", &format!(r#","nbf":{nbf}"#));
        assert_eq!(verify(&token).err(), Some(TokenError::NotYetValid), "{nbf}");
    }
    for nbf in ["null", r#""1800000000""#, "[]", "true", "{}"] {
        let token = literal("", &format!(r#","nbf":{nbf}"#));
        assert_eq!(verify(&token).err(), Some(TokenError::Invalid), "{nbf}");
    }
}

#[test]
fn a_token_becomes_valid_when_its_nbf_comes() {
    let token = literal("", r#","nbf":1800000060"#);
    let (tokens, clock) = tokens(SECRET);
    assert_eq!(check(&tokens, &token).err(), Some(TokenError::NotYetValid));
    clock.advance_seconds(30);
    assert!(check(&tokens, &token).is_ok());
}

#[test]
fn a_token_without_a_signature_is_invalid() {
    let good = issued(&tokens(SECRET).0);
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let claims = unsigned.split_once('.').unwrap().1;
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    for token in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}"),
        format!("{unsigned}."),
        "x".repeat(5000),
    ] {
        assert_eq!(verify(&token).err(), Some(TokenError::Invalid), "{token}");
    }
}

#[test]
fn a_token_expires_after_its_lifetime_and_the_leeway() {
    let (tokens, clock) = tokens(SECRET);
    let token = issued(&tokens);
    clock.advance_seconds(7230);
    assert!(check(&tokens, &token).is_ok());
    clock.advance_seconds(1);
    assert_eq!(check(&tokens, &token).err(), Some(TokenError::Expired));
}

#[test]
fn a_verified_token_does_not_vouch_for_one_with_another_signature() {
    let (tokens, _) = tokens(SECRET);
    let token = issued(&tokens);
    for _ in 0..2 {
        assert!(check(&tokens, &token).is_ok());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for other in ["", "AAAA", &signature[..signature.len() - 2]] {
            let outcome = check(&tokens, &format!("{signed}.{other}"));
            assert_eq!(outcome.unwrap_err(), TokenError::Invalid);
        }
        assert_eq!(
            check(&tokens, &token[1..]).unwrap_err(),
            TokenError::Invalid
        );
    }
}

#[test]
fn a_rotated_secret_still_verifies() {
    let old = issued(&tokens(SECRET).0);
    let (rotated, _) = tokens(&format!("{OTHER},{SECRET}"));
    assert!(check(&rotated, &old).is_ok());
    let new = issued(&rotated);
    assert!(check(&tokens(OTHER).0, &new).is_ok());
    assert_eq!(verify(&new).err(), Some(TokenError::UnknownKey));
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

/// A private key and its public half, as they stand in `JWT_KEYS`.
fn key_pair(algorithm: Algorithm) -> (String, String) {
    let kind = match algorithm {
        Algorithm::ES256 => KeyKind::P256,
        Algorithm::EdDSA => KeyKind::Ed25519,
        _ => KeyKind::Rsa2048,
    };
    let pair = KeyPair::generate(kind).unwrap();
    (pair.private.expose_secret().to_owned(), pair.public)
}

fn tokens_of(keys: &[&str], secrets: &str) -> Tokens {
    let env = Env::new([
        ("JWT_KEYS", &*keys.join(",")),
        ("JWT_SECRETS", secrets),
        ("WECHAT_APPIDS", "wx1"),
    ]);
    let tokens = Tokens::new(
        &env,
        Clock::Manual(ManualClock::new(Timestamp::from_second(NOW).unwrap())),
    );
    env.validate().unwrap();
    tokens
}

fn header(token: &str) -> Header {
    jsonwebtoken::decode_header(token).unwrap()
}

/// RFC 8410 §10.3, §10.1.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

fn config_errors(keys: &str) -> String {
    let env = Env::new([
        ("JWT_KEYS", keys),
        ("JWT_SECRETS", SECRET),
        ("WECHAT_APPIDS", "wx1"),
    ]);
    let _ = Tokens::new(&env, Clock::System);
    env.validate()
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}

#[test]
fn bad_keys_are_reported_by_their_position() {
    assert_eq!(config_errors(&format!("{PRIVATE},other:{PUBLIC}")), "");
    for twice in [
        format!("{PRIVATE},{PUBLIC}"),
        format!("a:{PRIVATE},a:{PUBLIC}"),
    ] {
        assert_eq!(
            config_errors(&twice),
            "JWT_KEYS: key 2 has the kid of an earlier one"
        );
    }
    let errors = config_errors(&format!("{PRIVATE},not base64,k:aHVudGVyMg=="));
    assert!(
        errors.contains("JWT_KEYS: key 2 is not kid:key"),
        "{errors}"
    );
    assert!(
        errors
            .contains("JWT_KEYS: key 3 is neither a private key (PKCS#8) nor a public one (SPKI)"),
        "{errors}"
    );
}

const ASYMMETRIC: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

#[test]
fn the_first_key_that_can_sign_does_and_all_verify() {
    for algorithm in ASYMMETRIC {
        let (private, public) = key_pair(algorithm);
        let (other, _) = key_pair(Algorithm::EdDSA);
        let signer = tokens_of(&[&format!("new:{private}"), &other], SECRET);
        let token = issued(&signer);
        assert_eq!(
            (header(&token).alg, header(&token).kid.as_deref()),
            (algorithm, Some("new"))
        );
        for keys in [
            [&*other, &format!("new:{private}")],
            [&*other, &format!("new:{public}")],
        ] {
            assert!(
                check(&tokens_of(&keys, SECRET), &token).is_ok(),
                "{algorithm:?}"
            );
        }
        // Public keys verify without any secret.
        assert!(
            check(&tokens_of(&[&format!("new:{public}")], ""), &token).is_ok(),
            "{algorithm:?}"
        );
        // A public key in front signs nothing; the secrets come after the keys.
        let verifying = tokens_of(&[&format!("new:{public}")], SECRET);
        assert_eq!(header(&issued(&verifying)).alg, Algorithm::HS256);
        assert!(check(&signer, &issued(&verifying)).is_ok());
    }
}

#[test]
fn the_key_decides_the_algorithm() {
    // The classic: a public key taken for an HMAC secret.
    let (private, public) = key_pair(Algorithm::RS256);
    let tokens = tokens_of(&[&format!("k:{private}")], SECRET);
    let good = issued(&tokens);
    let claims: Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(good.split('.').nth(1).unwrap())
            .unwrap(),
    )
    .unwrap();
    for secret in [public.as_bytes(), &STANDARD.decode(&public).unwrap()] {
        let mut header = header(&good);
        header.alg = Algorithm::HS256;
        let forged =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(check(&tokens, &forged).err(), Some(TokenError::Invalid));
    }
}

#[test]
fn a_signature_of_another_key_of_the_same_kind_is_invalid() {
    for algorithm in ASYMMETRIC {
        let token = issued(&tokens_of(
            &[&format!("k:{}", key_pair(algorithm).0)],
            SECRET,
        ));
        let other = tokens_of(&[&format!("k:{}", key_pair(algorithm).0)], SECRET);
        assert_eq!(
            check(&other, &token).err(),
            Some(TokenError::Invalid),
            "{algorithm:?}"
        );
    }
}

#[test]
fn the_key_set_shows_public_halves_only_and_verifies_alone() {
    let (ec, ed, rsa) = (
        key_pair(Algorithm::ES256).0,
        key_pair(Algorithm::EdDSA).0,
        key_pair(Algorithm::RS256).0,
    );
    let tokens = tokens_of(&[&ec, &format!("ed:{ed}"), &format!("rsa:{rsa}")], SECRET);
    let text = serde_json::to_string(&tokens.public_keys()).unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    let members = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(
        keys.iter().map(members).collect::<Vec<_>>(),
        [
            vec!["alg", "crv", "kid", "kty", "use", "x", "y"],
            vec!["alg", "crv", "kid", "kty", "use", "x"],
            vec!["alg", "e", "kid", "kty", "n", "use"],
        ]
    );
    assert_eq!(
        keys.iter().map(|key| &key["alg"]).collect::<Vec<_>>(),
        ["ES256", "EdDSA", "RS256"]
    );
    assert!(keys.iter().all(|key| key["use"] == "sig"));
    // A key without a name is called by its thumbprint (RFC 7638).
    assert_eq!(keys[0]["kid"].as_str().unwrap().len(), 43);
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    for only in [&ec, &format!("ed:{ed}"), &format!("rsa:{rsa}")] {
        let token = issued(&tokens_of(&[only], SECRET));
        let jwk = set.find(header(&token).kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(header(&token).alg);
        validation.set_audience(&["wx1"]);
        validation.validate_exp = false;
        jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &validation)
            .unwrap();
    }
}

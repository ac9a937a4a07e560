//! Checks that the claims of a sealed body match the request that carries it.

use http::{Uri, request::Parts};
use url::form_urlencoded;

use super::Refusal;
use crate::{
    api::bearer_token,
    crypto::jwe::{RequestHeader, access_token_hash},
    edge::Arrival,
};

/// The maximum age of a request, in seconds.
pub(super) const MAX_AGE: i64 = 5 * 60;
/// How far a client's clock may be ahead, in seconds.
pub(super) const LEEWAY: i64 = 30;

/// Checks that `header` was made for this request, and recently.
pub(super) fn check(header: &RequestHeader, request: &Parts, now: i64) -> Result<(), Refusal> {
    // Saturating: `iat` is untrusted input.
    let age = now.saturating_sub(header.iat);
    if !(-LEEWAY..=MAX_AGE).contains(&age) {
        return Err(Refusal::Time);
    }
    if !is_id(&header.jti) {
        return Err(Refusal::Id);
    }
    let called = request
        .extensions
        .get::<Arrival>()
        .and_then(|arrival| arrival.original_path.as_deref());
    let is_path = |path: &str| path == request.uri.path() || Some(path) == called;
    if header.htm != request.method.as_str() || !is_target(&header.htu, &request.uri, is_path) {
        return Err(Refusal::Target);
    }
    check_token(header.ath.as_deref(), bearer_token(&request.headers))
}

/// A body belongs to the access token that it was sealed for, or to a request without one: it can't
/// be sent under another token, nor without it. Both are found as the handlers find them.
fn check_token(ath: Option<&str>, token: Option<&str>) -> Result<(), Refusal> {
    match (ath, token) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Refusal::Unbound),
        (Some(ath), Some(token)) if ath == access_token_hash(token) => Ok(()),
        (Some(_), _) => Err(Refusal::Token),
    }
}

/// 1 to 64 printable ASCII characters without blanks.
fn is_id(jti: &str) -> bool {
    (1..=64).contains(&jti.len()) && jti.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `htu` has this path and query. API Gateway parses and rebuilds queries, so their order
/// and escapes may differ from the client's.
fn is_target(htu: &str, uri: &Uri, is_path: impl Fn(&str) -> bool) -> bool {
    let (path, query) = htu.split_once('?').unwrap_or((htu, ""));
    is_path(path) && pairs(query) == pairs(uri.query().unwrap_or_default())
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::jwe::Enc;

    const NOW: i64 = 1_700_000_000;

    fn checked(iat: i64, jti: &str, (htm, htu): (&str, &str)) -> Result<(), Refusal> {
        let request = http::Request::builder()
            .method("POST")
            .uri("/api/v1/a?x=1&y=%E4%B8%AD")
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        parts.extensions.insert(Arrival {
            original_path: Some("/prod/api/v1/a".to_owned()),
            ..Arrival::default()
        });
        check(
            &RequestHeader::new(Enc::A256Gcm, "k", (iat, jti), (htm, htu)),
            &parts,
            NOW,
        )
    }

    const HERE: (&str, &str) = ("POST", "/api/v1/a?x=1&y=%E4%B8%AD");

    #[test]
    fn ath_is_the_hash_of_the_token_that_is_sent() {
        // RFC 9449 §4.3: the access token of its example and its `ath`.
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        let ath = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
        assert_eq!(check_token(Some(ath), Some(token)), Ok(()));
        assert_eq!(check_token(None, None), Ok(()));
        assert_eq!(check_token(None, Some(token)), Err(Refusal::Unbound));
        for (ath, token) in [
            (ath, Some("another")),
            (ath, None),
            ("", Some(token)),
            (&ath[1..], Some(token)),
            (token, Some(token)),
        ] {
            assert_eq!(check_token(Some(ath), token), Err(Refusal::Token), "{ath}");
        }
    }

    #[test]
    fn iat_is_recent() {
        for iat in [NOW, NOW - MAX_AGE, NOW + LEEWAY] {
            assert_eq!(checked(iat, "j", HERE), Ok(()), "{iat}");
        }
        for iat in [
            NOW - MAX_AGE - 1,
            NOW + LEEWAY + 1,
            0,
            i64::MIN,
            i64::MAX,
            NOW * 1000,
        ] {
            assert_eq!(checked(iat, "j", HERE), Err(Refusal::Time), "{iat}");
        }
    }

    #[test]
    fn jti_is_printable() {
        assert_eq!(checked(NOW, &"~".repeat(64), HERE), Ok(()));
        for jti in ["", "a b", "é", "a\n", "\0", &"a".repeat(65)] {
            assert_eq!(checked(NOW, jti, HERE), Err(Refusal::Id), "{jti:?}");
        }
    }

    #[test]
    fn htm_and_htu_match_the_request() {
        for htu in [
            "/api/v1/a?y=%e4%b8%ad&x=1",
            "/api/v1/a?x=1&y=中",
            "/prod/api/v1/a?x=1&y=中",
        ] {
            assert_eq!(checked(NOW, "j", ("POST", htu)), Ok(()), "{htu}");
        }
        for htu in [
            "/api/v1/b?x=1&y=中",
            "/api/v1/a",
            "/api/v1/a?x=1",
            "/api/v1/a?x=1&y=中&z",
            "/api/v1/a/?x=1&y=中",
            "",
        ] {
            assert_eq!(
                checked(NOW, "j", ("POST", htu)),
                Err(Refusal::Target),
                "{htu}"
            );
        }
        for htm in ["GET", "post", ""] {
            assert_eq!(
                checked(NOW, "j", (htm, HERE.1)),
                Err(Refusal::Target),
                "{htm}"
            );
        }
    }
}

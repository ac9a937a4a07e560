//! The bearer token of a request.

use http::{HeaderMap, header::AUTHORIZATION};

/// The token of `Authorization: Bearer <token>` (RFC 6750 §2.1; the scheme in any case, RFC 9110
/// §11.1).
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_tokens_are_accepted() {
        let token = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(value))]);
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(token(other), None, "{other}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }
}

//! `GET /api/v1/config/{key}`

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY},
    },
    response::{IntoResponse, Response},
};
use shared::{
    api::{ApiError, Reason, Success, entity_tag},
    edge::ClientAddress,
};

use crate::{Freshness, Guests, key::PathKey, store::RemoteConfig};

pub async fn read(
    ClientAddress(address): ClientAddress,
    State(remote_config): State<RemoteConfig>,
    State(Guests { limiter, cost }): State<Guests>,
    State(freshness): State<Freshness>,
    headers: HeaderMap,
    key: PathKey,
) -> Result<Response, ApiError> {
    let ticket = limiter.address_ticket(address, cost)?;
    let key = match key.check() {
        Ok(key) => key,
        Err(error) => {
            ticket.pay(None).await?;
            return Err(error);
        }
    };
    let found = remote_config.get(&key, ticket).await?;
    let value = found.ok_or(Reason::NotFound)?;
    let tag = entity_tag(value.version);
    let is_known = names(&headers, &tag);
    let headers = caching(tag, freshness);
    Ok(if is_known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, Success(value)).into_response()
    })
}

/// What a client may do with a value (RFC 9110 §15.4.5: a 304 says the same).
fn caching(tag: String, Freshness(max_age): Freshness) -> [(HeaderName, String); 3] {
    let control = match max_age {
        0 => "no-cache".to_owned(),
        seconds => format!("public, max-age={seconds}"),
    };
    [
        (ETAG, tag),
        (CACHE_CONTROL, control),
        // The envelope's message.
        (VARY, "accept-language".to_owned()),
    ]
}

/// Whether `If-None-Match` names this entity tag: a list of tags, compared weakly (RFC 9110
/// §13.1.2), or `*`.
fn names(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter();
    let known = lines.filter_map(|line| line.to_str().ok());
    let mut known = known.flat_map(|line| line.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_known_version_is_found_in_a_list_of_entity_tags() {
        let names = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"1\""));
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(line));
            names(&headers, "\"7\"")
        };
        for line in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*", " \"7\" "] {
            assert!(names(line), "{line}");
        }
        for line in ["\"8\"", "7", "", "\"77\"", "w/\"7\"", "\"7"] {
            assert!(!names(line), "{line}");
        }
        assert!(!super::names(&HeaderMap::new(), "\"7\""));
    }

    #[test]
    fn a_value_that_may_not_be_kept_is_asked_for_each_time() {
        let control = |seconds| caching(String::new(), Freshness(seconds))[1].1.clone();
        assert_eq!(control(60), "public, max-age=60");
        assert_eq!(control(0), "no-cache");
    }
}

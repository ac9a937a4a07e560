//! CORS for browsers. Mini-programs don't need it, so it is off unless origins are configured.

use http::{
    HeaderName, HeaderValue, Method,
    header::{
        ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, IF_MATCH, IF_NONE_MATCH,
        RETRY_AFTER,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = if origins.contains(&HeaderValue::from_static("*")) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.to_vec())
    };
    Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                ACCEPT_LANGUAGE,
                IF_MATCH,
                IF_NONE_MATCH,
            ])
            .expose_headers([
                HeaderName::from_static("x-request-id"),
                HeaderName::from_static("ratelimit-policy"),
                HeaderName::from_static("ratelimit"),
                RETRY_AFTER,
                ETAG,
                // A client whose sealed body is refused compares its clock with it.
                DATE,
            ])
            .max_age(std::time::Duration::from_mins(10)),
    )
}

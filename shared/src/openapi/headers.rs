//! The headers of answers.

use serde_json::{Map, Value, json};

/// Each header: its name, whether answers that may have it always do, and what it says.
const HEADERS: [(&str, bool, &str, &str); 11] = [
    (
        "X-Request-Id",
        true,
        "The id under which the log has the request.",
        "5a1f0a56-2d0b-4d53-8a3e-0c6a1c1f7b60",
    ),
    (
        "Cache-Control",
        true,
        "`no-store`, except for what everybody may keep.",
        "no-store",
    ),
    (
        "RateLimit",
        false,
        "What is left of the limit that the request was counted against (draft-ietf-httpapi-ratelimit-headers).",
        "\"user\";r=39;t=1",
    ),
    (
        "RateLimit-Policy",
        false,
        "That limit.",
        "\"user\";q=40;w=20",
    ),
    (
        "Retry-After",
        true,
        "After how many seconds the request may be sent again.",
        "1",
    ),
    (
        "WWW-Authenticate",
        true,
        "RFC 6750, section 3.",
        "Bearer realm=\"weapp\"",
    ),
    ("ETag", true, "The version, between quotes.", "\"2\""),
    (
        "Vary",
        true,
        "What else a cached answer depends on.",
        "accept-language",
    ),
    (
        "Content-Disposition",
        true,
        "The name of the file for clients that save it.",
        "attachment; filename=\"export.json\"",
    ),
    ("Allow", true, "The methods of the route.", "GET,HEAD"),
    (
        "Content-Type",
        true,
        "The type of the body.",
        "application/json",
    ),
];

/// The headers under `components`.
pub(super) fn components() -> Value {
    let header = |(name, required, description, example): (&str, bool, &str, &str)| {
        let header = json!({
            "description": description,
            "required": required,
            "schema": {"type": "string"},
            "example": example,
        });
        (name.to_owned(), header)
    };
    HEADERS
        .map(header)
        .into_iter()
        .collect::<Map<_, _>>()
        .into()
}

/// References to some of them.
pub(super) fn references<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    let reference = |name: &str| {
        let path = format!("#/components/headers/{name}");
        (name.to_owned(), json!({"$ref": path}))
    };
    names
        .into_iter()
        .map(reference)
        .collect::<Map<_, _>>()
        .into()
}

//! The API as OpenAPI 3.1: what all functions declare, as one document.

mod page;
mod schema;

use axum::{
    Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    routing::get,
};
use serde_json::{Value, json};
use shared::openapi::{Operation, document};

/// What a function declares.
pub type DeclareOperations = fn() -> Vec<Operation>;

/// What each function declares, by its crate's name.
pub const OPERATIONS: &[(&str, DeclareOperations)] = &[
    ("health", health::operations),
    ("login", login::operations),
    ("token", token::operations),
    ("user_data", user_data::operations),
    ("user_info", user_info::operations),
    ("config", config::operations),
    ("users", users::operations),
    ("callback", callback::operations),
    ("account", account::operations),
    ("avatar", avatar::operations),
    ("authorizer", authorizer::operations),
];

/// The document that is kept as `docs/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    let operations = OPERATIONS.iter().flat_map(|(_, operations)| operations());
    let operations: Vec<Operation> = operations.collect();
    document(&operations, env!("CARGO_PKG_VERSION"))
}

/// Where the page is that shows it.
pub(crate) const PAGE: &str = "/docs";

/// `/openapi.json`, and a readable page of it. They are made when they are asked for: nobody waits for
/// them at start.
pub(crate) fn router() -> Router {
    let json = || async {
        let mut document = openapi();
        // Whatever the port is: relative to the document.
        document["servers"] = json!([{"url": "/"}]);
        ([(CONTENT_TYPE, "application/json")], document.to_string())
    };
    let page = || async {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'",
            ),
        ];
        (headers, page::page(&openapi()))
    };
    Router::new()
        .route("/openapi.json", get(json))
        .route(PAGE, get(page))
}

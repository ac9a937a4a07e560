//! The API as OpenAPI 3.1: what all functions declare, as one document.

use serde_json::Value;
use shared::openapi::{Operation, document};

/// What each function declares, by its crate's name.
pub const OPERATIONS: &[(&str, fn() -> Vec<Operation>)] = &[
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
];

/// The document that is kept as `docs/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    let operations = OPERATIONS.iter().flat_map(|(_, operations)| operations());
    let operations: Vec<Operation> = operations.collect();
    document(&operations, env!("CARGO_PKG_VERSION"))
}

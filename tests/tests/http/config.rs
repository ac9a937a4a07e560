//! Remote configuration: `/api/v1/config` and `/api/v1/config/{key}`, with state in the process and with a real Redis.

mod access;
mod bodies;
mod cached;
mod change;
mod list;
mod read;

use e2e::{
    http::Answer,
    test_app::{Api, Tokens},
};
use serde_json::json;

/// The path of the list.
const LIST: &str = "/api/v1/config";
/// The path of a key that tests use.
const BANNER: &str = "/api/v1/config/home.banner";

/// Writes a value for the first time.
async fn create(api: &Api, root: &Tokens, key: &str, value: &str) {
    let body = json!({"value": value});
    let created = api.put_config(&root.access, key, &body).await;
    assert_eq!(created.ok(200)["version"], 1);
}

/// Sends a body as it is.
async fn put_text(api: &Api, root: &Tokens, body: impl Into<Vec<u8>>) -> Answer {
    let request = api.request("PUT", BANNER).bearer(&root.access);
    let request = request.header("content-type", "application/json");
    request.body(body).send().await
}

//! The routes for clients.

use shared::{
    api::{Empty, Reason},
    openapi::{Access, Operation, Tag, Value, json},
};

use crate::{
    change::{DeleteInput, PutInput},
    key::ConfigKey,
    list::{ConfigList, ListQuery},
    store::ConfigValue,
};

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![list(), read(), put(), delete()]
}

fn operation(method: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, "/api/v1/config/{key}", id, Tag::Config, summary)
        .path_part::<ConfigKey>("key", "The value's key.")
        .fails(&[Reason::InvalidRequest, Reason::NotFound])
}

fn list() -> Operation {
    let page = json!({
        "values": [{
            "key": "home.banner",
            "version": 1,
            "size": 52,
            "updatedAt": "2026-11-23T16:24:30.823Z",
            "updatedBy": "0193c0de-0000-7000-8000-00000000abcd",
        }],
        "cursor": null,
    });
    Operation::new(
        "GET",
        "/api/v1/config",
        "listConfig",
        Tag::Config,
        "The keys, in their order",
    )
    .details("Without the values. The list ends when `cursor` is `null`.")
    .access(Access::Administrator)
    .query::<ListQuery>()
    .ok::<ConfigList>("A page.", page)
}

fn value() -> Value {
    json!({
        "key": "home.banner",
        "value": {"title": "小程序上线啦", "isShown": true},
        "version": 1,
        "updatedAt": "2026-11-23T16:24:30.823Z",
    })
}

fn read() -> Operation {
    operation("GET", "getConfig", "Read a value")
        .header::<String>(
            "If-None-Match",
            "The `ETag` of the value that the client has.",
        )
        .ok::<ConfigValue>("The value.", value())
        .with_headers(&["ETag", "Vary"])
        .empty(304, "The client has the current value.")
        .with_headers(&["ETag", "Vary"])
        .fails(&[Reason::RateLimited])
}

const IF_MATCH: &str = "The version that the change was made for, between quotes.";

fn put() -> Operation {
    operation("PUT", "putConfig", "Write a value")
        .details("The version that is replaced stands in `version`, in `If-Match`, or in both. Without one, the value is a new one.")
        .access(Access::Administrator)
        .header::<String>("If-Match", IF_MATCH)
        .body::<PutInput>(json!({"value": {"title": "小程序上线啦", "isShown": false}, "version": 1}))
        .ok::<ConfigValue>("The value as it is now.", value())
        .with_headers(&["ETag"])
        .fails(&[Reason::Conflict, Reason::VersionMismatch])
}

fn delete() -> Operation {
    operation("DELETE", "deleteConfig", "Delete a value")
        .access(Access::Administrator)
        .header::<String>("If-Match", IF_MATCH)
        .body::<DeleteInput>(json!({"version": 1}))
        .ok::<Empty>("Deleted.", json!({}))
        .fails(&[Reason::Conflict, Reason::VersionMismatch])
}
